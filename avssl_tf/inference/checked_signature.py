"""SavedModel signatures that check the shapes of their inputs.

TensorFlow itself checks the types of inputs but not their shapes: a network that pools over space
and time silently embeds inputs of other sizes and rates, and frames with one channel.
"""

import inspect
from collections.abc import Sequence
from typing import Callable

import tensorflow as tf

_ANY, _NONE = -1, -2
_AXES = {3: "samples, channels", 5: "frames, height, width, channels"}


def checked(
  function: Callable[..., dict[str, tf.Tensor]], specs: Sequence[tf.TensorSpec]
) -> "tf.types.experimental.PolymorphicFunction":
  """Wraps a function for export: rejects inputs of other shapes, accepts empty batches.

  Args:
    function: takes one tensor for each of `specs` and returns tensors by name; the first dimension
      of all of them is the batch.
    specs: the inputs. An unspecified size accepts 1 or more, an unspecified batch size 0 or more.

  Returns:
    The `tf.function`, not traced yet. It raises `tf.errors.InvalidArgumentError` with the expected
    and the actual shape.
  """

  def call(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
    # Hides the static shapes from TensorFlow, which would otherwise optimise the checks away.
    hidden = [tf.compat.v1.placeholder_with_default(x, None) for x in inputs]
    with tf.control_dependencies([_has_shape(x, spec) for x, spec in zip(hidden, specs)]):
      sizes = [tf.shape(x)[0] for x in hidden]
      with tf.control_dependencies([_have_same_size(sizes, specs)]):
        clips = [_at_least_one(x, size, spec) for x, size, spec in zip(hidden, sizes, specs)]
    return {name: value[: sizes[0]] for name, value in function(*clips).items()}

  # Keeps the names of the inputs.
  call.__signature__ = inspect.signature(function)
  call.__name__ = function.__name__
  return tf.function(call, list(specs), autograph=False)


def _has_shape(x: tf.Tensor, spec: tf.TensorSpec) -> tf.Operation:
  # Sizes after the batch dimension, terminated by _NONE.
  wanted = tf.constant([*(_ANY if size is None else size for size in spec.shape[1:]), _NONE])
  shape = tf.shape(x)
  sizes = tf.concat([shape[1:], tf.fill([len(spec.shape)], _NONE)], axis=0)[: len(spec.shape)]
  is_right = tf.where(tf.equal(wanted, _ANY), sizes > 0, tf.equal(sizes, wanted))
  return tf.debugging.Assert(
    tf.reduce_all(is_right),
    [f"Expected {spec.name} with the shape {_described(spec)}, got", shape],
    summarize=8,
  )


def _have_same_size(sizes: Sequence[tf.Tensor], specs: Sequence[tf.TensorSpec]) -> tf.Operation:
  names = " and ".join(spec.name for spec in specs)
  return tf.debugging.Assert(
    tf.reduce_all(tf.equal(tf.stack(sizes), sizes[0])),
    [f"Expected the same number of clips in {names}, got", tf.stack(sizes)],
  )


def _at_least_one(x: tf.Tensor, size: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
  """Replaces an empty batch by one clip of zeros, since convolutions require at least one."""

  def zeros() -> tf.Tensor:
    return tf.zeros(tf.concat([[1], tf.shape(x)[1:]], axis=0), x.dtype)

  clips = tf.cond(tf.equal(size, 0), zeros, lambda: tf.identity(x))
  clips.set_shape(spec.shape)
  return clips


def _described(spec: tf.TensorSpec) -> str:
  """Type and shape of an input as text, such as "float32 [batch, 2400, 1] (samples, channels)"."""
  sizes = ["batch", *("any" if size is None else str(size) for size in spec.shape[1:])]
  axes = f" ({_AXES[len(sizes)]})" if spec.name in ("video", "audio", "flow") else ""
  return f"{spec.dtype.name} [{', '.join(sizes)}]{axes}"
