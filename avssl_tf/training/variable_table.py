"""A table of the variables of a model."""

import collections

import tensorflow as tf

# Additional names that Keras gives to objects with an attribute name.
_SYNONYMS = ("layer-", "layer_with_weights-", "keras_api", "layers", "variables", "trainable_")


def paths(model: tf.keras.Model) -> dict[int, str]:
  """Attribute paths of the variables of `model`, as in its checkpoints, by `id(variable)`."""
  view = tf.train.TrackableView(model)
  names, waiting, seen = {}, collections.deque([("", model)]), {id(model)}
  while waiting:
    prefix, node = waiting.popleft()
    for name, child in sorted(view.children(node).items()):
      if name.startswith(_SYNONYMS) or id(child) in seen:
        continue
      seen.add(id(child))
      path = f"{prefix}/{name}" if prefix else name
      names[id(child)] = path
      waiting.append((path, child))
  return {id(v): names.get(id(v), v.name) for v in model.variables}


def variable_table(model: tf.keras.Model) -> str:
  """Variables of `model`, sorted by name: name, shape and size, followed by sums.

  Args:
    model: the model, with its variables built.
  """
  names = paths(model)
  rows = sorted((names[id(v)], v.shape, v.trainable) for v in model.variables)
  width = max(len(name) for name, _, _ in rows)
  lines = [f"{'variable':{width}} {'shape':>20} {'trained':>14} {'not trained':>14}"]
  sums = collections.defaultdict(lambda: [0, 0])
  for name, shape, trainable in rows:
    counts = (shape.num_elements(), 0) if trainable else (0, shape.num_elements())
    lines.append(_line(name, width, str(tuple(shape)), counts))
    for part in ("/".join(name.split("/")[:2]), "all"):
      sums[part] = [a + b for a, b in zip(sums[part], counts)]
  total = sums.pop("all")
  lines += ["", *(_line(part, width, "", counts) for part, counts in sums.items())]
  return "\n".join([*lines, _line("all", width, "", total)])


def _line(name: str, width: int, shape: str, counts) -> str:
  cells = (f"{count:,}" if count else "" for count in counts)
  return f"{name:{width}} {shape:>20} " + " ".join(f"{cell:>14}" for cell in cells)
