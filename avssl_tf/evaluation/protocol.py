"""The protocol that an evaluation follows: a gin file names it, settings tell what it measures."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Callable, Union

import gin

from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.generator import Generator

_ADDED = "added"


@gin.configurable
def evaluate(
  network: Union[Encoder, Mapping[str, Generator]],
  data_dir: str,
  results: Results,
  work_dir: str,
  progress: bool = False,
  protocol: Callable[..., None] = gin.REQUIRED,
) -> None:
  """Measures a frozen network by the protocol that gin binds, such as `@KNN()`.

  Args:
    network: what the protocol measures: an encoder, or generators of sound fields by name.
    data_dir: folder of the records.
    results: where the metrics go; parts that are there are not measured again.
    work_dir: folder of the protocol's own, for what it needs to go on when interrupted.
    progress: whether to show progress bars.
    protocol: a frozen dataclass that is called with the arguments before it.
  """
  protocol(network, data_dir, results, work_dir, progress=progress)


def added_field(default: Any) -> Any:
  """A field of a protocol that earlier versions did not have, and worked as with `default`.

  At its default it is no part of `settings`, so that results of earlier versions can be completed.
  """
  return dataclasses.field(default=default, metadata={_ADDED: True})


def settings(protocol: Any, bindings: Mapping[str, Any]) -> dict[str, Any]:
  """All that a protocol's results depend on, defaults included.

  Args:
    protocol: a dataclass.
    bindings: what gin files and the command line set, by names such as `"KNN.num_neighbors"`.

  Returns:
    By such names, values that JSON can hold: the protocol's fields and the bindings of other
    parts. What JSON cannot hold, such as functions, is told by the text of its binding.
  """
  name = type(protocol).__name__
  bound = {_unqualified(key): value for key, value in bindings.items()}
  bound.pop("evaluate.protocol", None)
  found = {}
  for field in dataclasses.fields(protocol):
    key, value = f"{name}.{field.name}", getattr(protocol, field.name)
    if field.metadata.get(_ADDED) and value == field.default:
      bound.pop(key, None)
      continue
    if dataclasses.is_dataclass(value):
      value = dataclasses.asdict(value)
    if not _fits_json(value):
      value = repr(bound.get(key, getattr(value, "__qualname__", type(value).__name__)))
    found[key] = value
  others = {key: value if _fits_json(value) else repr(value) for key, value in bound.items()}
  return {**others, **found}


def _unqualified(name: str) -> str:
  """`audio/models.projection.MLPHead.widths` -> `audio/MLPHead.widths`."""
  scope, slash, selector = name.rpartition("/")
  return scope + slash + ".".join(selector.split(".")[-2:])


def _fits_json(value: Any) -> bool:
  try:
    json.dumps(value)
  except TypeError:
    return False
  return True
