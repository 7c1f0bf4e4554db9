#!/usr/bin/env python3
"""Plans memory banks and positive sets of any size, without allocating them.

  python tools/plan_banks.py                      # 10 million rows of 128, k = 32, batch 256
  python tools/plan_banks.py --num_rows=2000000 --clips=64 --num_negatives=512

The training step of CMA is traced with banks of that size in a graph that never runs. It prints the
variables, the bytes that one step reads from and writes to them, and the largest tensor of a step:
that no tensor of a step is as large as a bank is checked. Mining is computed.
"""

import dataclasses
import os
import sys

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.

# isort: split
import tensorflow as tf
from absl import flags

from avssl_tf.errors import UserError
from avssl_tf.losses import cma

FLAGS = flags.FLAGS

_READS = "ResourceGather"
_WRITES = "ResourceScatterUpdate"
_ASSIGNS = ("AssignVariableOp", "AssignAddVariableOp")


@dataclasses.dataclass(frozen=True)
class Plan:
  """Memory of an objective and of its training step.

  Attributes:
    variables: (name, shape, dtype, bytes) of each variable with one row per video.
    read_bytes: bytes that a step reads from them.
    written_bytes: bytes that a step writes to them.
    largest: (bytes, operation) of the largest tensor of a step.
  """

  variables: list[tuple[str, tuple[int, ...], str, int]]
  read_bytes: int
  written_bytes: int
  largest: tuple[int, str]


def plan(num_rows: int, dim: int, k: int, batch_size: int, num_negatives: int) -> Plan:
  """Traces a training step of CMA.

  Args:
    num_rows: number of videos N.
    dim: size D of the embeddings.
    k: size of a positive set.
    batch_size: clips per step.
    num_negatives: negatives of each clip.

  Raises:
    UserError: a setting is out of range, or a tensor of the step is as large as a bank.
  """
  # With conditions of the first version, their branches are in the same graph.
  tf.compat.v1.disable_control_flow_v2()
  try:
    with tf.Graph().as_default() as graph:
      objective = cma.CMA(num_rows, dim, num_positives=k, num_negatives=num_negatives)
      before = set(graph.get_operations())
      losses = objective(
        {
          "video": tf.compat.v1.placeholder(tf.float32, [batch_size, dim]),
          "audio": tf.compat.v1.placeholder(tf.float32, [batch_size, dim]),
          "index": tf.compat.v1.placeholder(tf.int64, [batch_size]),
        },
        training=True,
      )
  finally:
    tf.compat.v1.enable_control_flow_v2()
  made = [op for op in graph.get_operations() if op not in before]
  writes = [op for op in made if op.type in (_WRITES, *_ASSIGNS)]
  step = _needed([*writes, *(tensor.op for tensor in losses.values())]) & set(made)
  read = sum(_num_bytes(op.outputs[0]) for op in step if op.type == _READS)
  written = sum(_num_bytes(op.inputs[2]) for op in step if op.type == _WRITES)
  tensors = [t for op in step for t in op.outputs if t.shape.is_fully_defined()]
  for tensor in tensors:
    if num_rows in tensor.shape.as_list():
      raise UserError(f"{tensor.op.type} of a step makes a tensor of all rows: {tensor.shape}.")
  largest = max((_num_bytes(tensor), tensor.op.type) for tensor in tensors)
  variables = {
    "video_bank.rows": objective.video_bank.rows,
    "audio_bank.rows": objective.audio_bank.rows,
    "positive_sets": objective.positive_sets,
  }
  described = [
    (name, tuple(v.shape.as_list()), v.dtype.name, _num_bytes(v)) for name, v in variables.items()
  ]
  return Plan(described, read, written, largest)


def _needed(ends: list[tf.Operation]) -> set[tf.Operation]:
  """Operations that run with `ends`; TensorFlow adds others that never run."""
  found, waiting = set(), list(ends)
  while waiting:
    op = waiting.pop()
    if op not in found:
      found.add(op)
      waiting += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
  return found


def _num_bytes(tensor) -> int:
  size = 0 if tensor.dtype == tf.resource else tensor.dtype.size
  return tensor.shape.num_elements() * size


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  flags.DEFINE_integer("num_rows", 10_000_000, "Rows of each bank (videos), N.", lower_bound=20)
  flags.DEFINE_integer("dim", 128, "Dimension of a row, D.", lower_bound=1)
  flags.DEFINE_integer("k", 32, "Number of rows of a positive set.", lower_bound=1)
  flags.DEFINE_integer("clips", 256, "Clips per step and device.", lower_bound=1)
  flags.DEFINE_integer("num_negatives", 1024, "Negatives of each clip.", lower_bound=1)
  flags.DEFINE_integer("query_block", 512, "Queries of mining per device.", lower_bound=1)
  flags.DEFINE_integer("row_block", 65536, "Rows that mining compares at once.", lower_bound=1)


def main() -> None:
  """Prints the plan."""
  define_flags()
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  cli.hide_gpus()
  found = plan(FLAGS.num_rows, FLAGS.dim, FLAGS.k, FLAGS.clips, FLAGS.num_negatives)
  print("Traced, not allocated, on each device:")
  for name, shape, dtype, num_bytes in found.variables:
    print(f"  {name:24} {str(list(shape)):18} {dtype:8} {1e-9 * num_bytes:8.3f} GB")
  total = sum(num_bytes for *_, num_bytes in found.variables)
  print(f"  {'together':52} {1e-9 * total:8.3f} GB")
  num_bytes, operation = found.largest
  print(
    f"A step of {FLAGS.clips} clips reads {1e-6 * found.read_bytes:,.1f} MB of these rows and "
    f"writes {1e-6 * found.written_bytes:,.2f} MB;\nits largest tensor has "
    f"{1e-6 * num_bytes:,.1f} MB ({operation})."
  )
  compared = 12 * FLAGS.query_block * min(FLAGS.row_block, FLAGS.num_rows)
  work = 4 * FLAGS.num_rows**2 * FLAGS.dim
  print(
    f"Mining, computed: {1e-12 * work:,.0f} TFLOP in all, and up to {1e-9 * compared:.2f} GB for "
    f"{FLAGS.query_block:,} queries by {min(FLAGS.row_block, FLAGS.num_rows):,} rows."
  )


if __name__ == "__main__":
  main()
