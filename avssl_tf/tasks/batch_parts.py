"""The gradient of a batch, computed in parts that need less memory than the whole batch.

The outputs of the network are computed part by part, without the intermediate values that gradients
require. The loss is computed once, from the outputs of all parts. Then the network computes each
part again, and passes the gradient of the loss with respect to its outputs on to the weights. The
result is the gradient of the whole batch for any loss, also if the loss compares clips of different
parts, at the cost of a second forward pass.

Source: Gao, Zhang, Han, Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup", RepL4NLP 2021, section 3.
"""

from collections.abc import Sequence
from typing import Any, Callable, Optional

import tensorflow as tf

from avssl_tf.keys import Batch, Tensor

# Maps a part of a batch, and its number (an int32 scalar), to nested tensors [clips, ...].
Function = Callable[[Batch, Tensor], Any]


class BatchParts:
  """A batch, divided into parts of equal size that are processed one after another.

  Attributes:
    num_parts: number of parts.
  """

  def __init__(self, batch: Batch, num_parts: int, statistics: Sequence[tf.Variable] = ()):
    """Divides a batch.

    Args:
      batch: tensors `[B, ...]` by name; B is a multiple of `num_parts`. Strings are left out,
        because networks do not take them.
      num_parts: number of parts.
      statistics: variables that every call of the network in training moves, such as the moving
        averages of batch normalisation. A pass over all parts counts as one call: each part moves
        the statistics from the same start, and the results are averaged, as with several replicas.
    """
    self.num_parts = num_parts
    self._parts = {
      name: _divided(value, num_parts)
      for name, value in batch.items()
      if value.dtype != tf.string
    }
    self._statistics = list(statistics)

  def outputs(self, function: Function) -> Any:
    """Computes the outputs of all parts; `statistics` move once.

    Args:
      function: computes the outputs of a part.

    Returns:
      The outputs of `function`, concatenated along the first axis: nested tensors `[B, ...]`.
    """
    first = {name: tf.TensorSpec(v.shape[1:], v.dtype) for name, v in self._parts.items()}
    # Traced to learn the types of the outputs, which a loop must know before its first iteration.
    traced = tf.function(lambda part: function(part, tf.constant(0)), autograph=False)
    structure = traced.get_concrete_function(first).structured_outputs
    before = [tf.identity(variable) for variable in self._statistics]

    def add(number: Tensor, arrays, sums):
      for variable, value in zip(self._statistics, before):
        variable.assign(value)
      found = tf.nest.flatten(function(self._part(number), number))
      arrays = [array.write(number, value) for array, value in zip(arrays, found)]
      sums = [total + tf.identity(v) for total, v in zip(sums, self._statistics)]
      return number + 1, arrays, sums

    _, arrays, sums = self._loop(
      add,
      [tf.TensorArray(spec.dtype, self.num_parts) for spec in tf.nest.flatten(structure)],
      [tf.zeros_like(value) for value in before],
    )
    for variable, total in zip(self._statistics, sums):
      variable.assign(total / self.num_parts)
    joined = [
      tf.ensure_shape(array.concat(), [None, *spec.shape[1:]])
      for array, spec in zip(arrays, tf.nest.flatten(structure))
    ]
    return tf.nest.pack_sequence_as(structure, joined)

  def gradients(
    self, function: Function, output_gradients: Any, variables: Sequence[tf.Variable]
  ) -> list[Optional[Tensor]]:
    """Computes the outputs again, and the gradient of the loss; `statistics` do not change.

    Args:
      function: as in `outputs`; must return the same as before.
      output_gradients: gradient of the loss with respect to the result of `outputs`.
      variables: variables to differentiate with respect to.

    Returns:
      The gradient for each of `variables`; None for those that the outputs do not depend on.
    """
    parts = [_divided(value, self.num_parts) for value in tf.nest.flatten(output_gradients)]
    before = [tf.identity(variable) for variable in self._statistics]
    used: set[int] = set()

    def add(number: Tensor, sums):
      with tf.GradientTape() as tape:
        found = tf.nest.flatten(function(self._part(number), number))
      gradients = tape.gradient(
        found, variables, output_gradients=[part[number] for part in parts]
      )
      used.update(i for i, gradient in enumerate(gradients) if gradient is not None)
      sums = [
        total if gradient is None else total + tf.convert_to_tensor(gradient)
        for total, gradient in zip(sums, gradients)
      ]
      return number + 1, sums

    _, sums = self._loop(add, [tf.zeros(v.shape, v.dtype) for v in variables])
    with tf.control_dependencies(sums):
      for variable, value in zip(self._statistics, before):
        variable.assign(value)
    return [total if i in used else None for i, total in enumerate(sums)]

  def _part(self, number: Tensor) -> Batch:
    return {name: parts[number] for name, parts in self._parts.items()}

  def _loop(self, body: Callable, *values: Any):
    return tf.while_loop(
      lambda number, *unused: number < self.num_parts,
      body,
      (tf.constant(0), *values),
      parallel_iterations=1,  # One part in memory.
    )


def _divided(value: Tensor, num_parts: int) -> Tensor:
  """Reshapes `[B, ...]` to `[num_parts, B / num_parts, ...]`."""
  shape = tf.concat([[num_parts, -1], tf.shape(value)[1:]], axis=0)
  divided = tf.reshape(value, shape)
  size = None if value.shape[0] is None else value.shape[0] // num_parts
  return tf.ensure_shape(divided, [num_parts, size, *value.shape[1:]])
