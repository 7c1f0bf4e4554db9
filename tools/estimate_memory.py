#!/usr/bin/env python3
"""Estimates the memory that a training run needs on each device, without data and without a GPU.

  python tools/estimate_memory.py --gin_file=gin/avid.gin --gin_file=gin/scale/kinetics400.gin \
    --num_videos=240000

The network is built and its training step traced, but not computed. Weights, optimiser, memory
banks and batch are counted exactly. For the step, the operations of forward and backward pass are
followed one by one, and the tensors that exist at the same time are added up. Not included: the
working space of single operations, fragmentation, and what TensorFlow and its libraries need.
--measure_clips=16 also computes a step of 16 clips on the CPU (Linux only) and compares its memory
with the estimate; --gin_param=train.accumulate_steps=4 divides it into parts.
"""

import os
import sys

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.

# isort: split
import collections
import dataclasses
import math
from typing import Any, Callable, Optional

import gin
import tensorflow as tf
from absl import flags

from avssl_tf import keras_optimizers, keys
from avssl_tf.data.pipeline import clip_kinds
from avssl_tf.errors import UserError
from avssl_tf.tasks.task import Task
from avssl_tf.training.configurations import configuration

FLAGS = flags.FLAGS

# Number of videos of the traced step: a prime, which identifies the axis of the videos.
_TRACED_VIDEOS = 9973
# Operations whose output shares the memory of their first input.
_ALIASES = ("Identity", "Reshape", "ExpandDims", "Squeeze", "StopGradient")
# Values that exist anyway: variables, constants and arguments.
_FREE = ("ReadVariableOp", "Const", "Placeholder")


@dataclasses.dataclass(frozen=True)
class Memory:
  """Memory of a run on one device, in bytes.

  Attributes:
    weights: variables of the networks and of the task, without memory banks.
    gradients: gradients of the trained variables.
    optimizer: state of the optimiser.
    banks: memory banks and positive sets.
    batch: clips of a step, and outputs of the network for them.
    loss: tensors of the loss and its gradient, for all clips of a step.
    clip: tensors of the network and its gradient, for one clip.
    clips: number of clips of a step.
  """

  weights: int
  gradients: int
  optimizer: int
  banks: int
  batch: int
  loss: int
  clip: int
  clips: int

  def total(self, accumulate_steps: int) -> int:
    """Memory with the clips of a step in `accumulate_steps` parts."""
    # In parts, the sums of the gradients are added to the gradients of a part.
    gradients = self.gradients * (1 if accumulate_steps == 1 else 2)
    fixed = self.weights + gradients + self.optimizer + self.banks + self.batch
    part = self.clip * self.clips // accumulate_steps
    # In parts, the tensors of the loss are gone before those of the first part exist.
    return fixed + (part + self.loss if accumulate_steps == 1 else max(part, self.loss))

  def divisors(self) -> list[int]:
    """Numbers of parts into which the clips can be divided."""
    return [n for n in range(1, self.clips + 1) if self.clips % n == 0]

  def fitting(self, num_bytes: float) -> Optional[int]:
    """The smallest number of parts whose memory is at most `num_bytes`; None if there is none."""
    return next((n for n in self.divisors() if self.total(n) <= num_bytes), None)


def peak_bytes(forward: Callable[..., Any], *specs: Any) -> int:
  """The most memory that tensors take while a function and its gradient are computed.

  One operation after another, in the order of the trace. A tensor exists from the operation that
  computes it to the last one that reads it.

  Args:
    forward: the function; returns nested tensors.
    *specs: nested specifications of its arguments.

  Returns:
    Bytes, without those of arguments and variables.
  """

  def both(*arguments):
    with tf.GradientTape() as tape:
      floats = [a for a in tf.nest.flatten(arguments) if a.dtype.is_floating or a.dtype.is_complex]
      tape.watch(floats)
      outputs = tf.nest.flatten(forward(*arguments))
    return tape.gradient(
      outputs, [*tape.watched_variables(), *floats],
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )  # fmt: skip

  graph = tf.function(both, autograph=False).get_concrete_function(*specs).graph
  operations = [o for o in graph.get_operations() if o.type not in (*_ALIASES, *_FREE)]
  last_use = {}
  for place, operation in enumerate(operations):
    last_use.update({value.name: (place, value) for value in operation.outputs})
    last_use.update({v.name: (place, v) for v in map(_source, operation.inputs)})
  for value in map(_source, graph.outputs):
    last_use[value.name] = (len(operations), value)
  freed: dict[int, int] = collections.Counter()
  for place, value in last_use.values():
    if value.op.type not in _FREE:
      freed[place] += _num_bytes(value)
  now = peak = 0
  for place, operation in enumerate(operations):
    now += sum(map(_num_bytes, operation.outputs))
    peak = max(peak, now)
    now -= freed[place]
  return peak


def _source(value: Any) -> Any:
  """The tensor that owns the memory of `value`."""
  while value.op.type in _ALIASES:
    value = value.op.inputs[0]
  return value


def _num_bytes(value: Any) -> int:
  """Bytes of a tensor or variable; 0 for handles, and where the shape is not known in the trace."""
  if value.dtype in (tf.resource, tf.variant, tf.string) or not value.shape.is_fully_defined():
    return 0
  return math.prod(value.shape) * tf.as_dtype(value.dtype).size


def _specs(batch: keys.Batch, clips: int) -> keys.Batch:
  return {name: tf.TensorSpec([clips, *v.shape[1:]], v.dtype) for name, v in batch.items()}


def _variables_bytes(variables: Any, num_videos: int) -> int:
  """Bytes of variables if there are `num_videos` videos instead of those of the traced step."""
  return sum(
    _num_bytes(v) * num_videos // _TRACED_VIDEOS
    if v.shape.rank and v.shape[0] == _TRACED_VIDEOS
    else _num_bytes(v)
    for v in variables
  )


def make_task(num_channels: int, num_classes: int) -> tuple[Task, keys.Batch, int]:
  """The task of the present configuration, a batch of two clips, and the clips of a step."""
  bound = gin.get_bindings("train")
  tf.keras.mixed_precision.set_global_policy(bound.get("precision", "float32"))
  network = bound["network"]()
  batch = dict(clip_kinds.kind_of(bound["clip"]).zero_batch(network.sample_rate_hz, num_channels))
  network(batch)
  task = bound["task"](network=network, num_videos=_TRACED_VIDEOS, num_classes=num_classes, seed=0)
  batch[keys.INDEX] = tf.zeros([2], tf.int64)
  batch[keys.LABEL] = tf.zeros([2], tf.int64)
  batch[keys.CHANNELS] = tf.ones([2, num_channels], tf.bool)
  task(batch)
  task.compile(optimizer=bound["optimizer"](learning_rate=1e-3))
  keras_optimizers.build(task.optimizer, task.trainable_variables)
  return task, batch, bound.get("batch_size", 32)


def estimate(task: Task, batch: keys.Batch, clips: int, num_videos: int) -> Memory:
  """Memory of a run on one device.

  Args:
    task: the compiled task, created for `_TRACED_VIDEOS` videos.
    batch: a batch of any number of clips.
    clips: number of clips of a step on the device.
    num_videos: number of training videos.
  """
  two, four = (peak_bytes(task.outputs_of, _specs(batch, n)) for n in (2, 4))
  outputs = tf.function(task.outputs_of, autograph=False).get_concrete_function(
    _specs(batch, clips)
  ).structured_outputs  # fmt: skip
  loss = peak_bytes(lambda *a: task.losses_of(*a)["loss"], outputs, _specs(batch, clips))
  in_banks = [v for v in task.variables if v.shape.rank and v.shape[0] == _TRACED_VIDEOS]
  known = {id(v) for v in in_banks}
  return Memory(
    weights=_variables_bytes([v for v in task.variables if id(v) not in known], num_videos),
    gradients=_variables_bytes(task.trained_variables, num_videos),
    optimizer=_variables_bytes(keras_optimizers.variables(task.optimizer), num_videos),
    banks=_variables_bytes(in_banks, num_videos),
    batch=sum(map(_num_bytes, [*_specs(batch, clips).values(), *tf.nest.flatten(outputs)])),
    loss=loss,
    # Values that do not depend on the number of clips cancel out.
    clip=(four - two) // 2,
    clips=clips,
  )


def measure(task: Task, batch: keys.Batch, clips: int) -> int:
  """The most memory of this process during a training step, above that before it, in bytes.

  Args:
    task: as in `estimate`; the step is computed on the CPU, of a Linux machine.
    batch: as in `estimate`.
    clips: number of clips of the step.
  """
  specs = _specs(batch, clips)
  clips_of_step = {name: tf.zeros(spec.shape, spec.dtype) for name, spec in specs.items()}
  step = tf.function(task.train_step).get_concrete_function(specs)
  before = _status_bytes("VmRSS") - sum(map(_num_bytes, specs.values()))
  with open("/proc/self/clear_refs", "w", encoding="ascii") as f:
    f.write("5")  # Resets the maximum.
  step(clips_of_step)
  return _status_bytes("VmHWM") - before


def _status_bytes(name: str) -> int:
  with open("/proc/self/status", encoding="ascii") as f:
    return next(1024 * int(line.split()[1]) for line in f if line.startswith(f"{name}:"))


def text(memory: Memory, device_gb: float) -> str:
  """The estimate as lines of text, in 10^9 bytes."""

  def gb(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2f}"

  fitting = memory.fitting(device_gb * 1e9)
  advice = "too little even for one clip at once; use larger or more devices, or smaller clips."
  if fitting is not None:
    advice = f"--gin_param=train.accumulate_steps={fitting}"
  lines = [
    f"Memory of a device for {memory.clips} clips of a step, in GB (10^9 bytes), by arithmetic:",
    f"  weights {gb(memory.weights)}, gradients {gb(memory.gradients)}, optimiser "
    f"{gb(memory.optimizer)}, memory banks {gb(memory.banks)}, batch {gb(memory.batch)}",
    f"  tensors of the loss {gb(memory.loss)}, of the network {memory.clip / 1e9:.3f} per clip",
    "accumulate_steps  clips at once      GB",
    *(
      f"{n:16}  {memory.clips // n:13}  {gb(memory.total(n)):>6}" for n in memory.divisors()
    ),
    f"--device_gb={device_gb:g}: {advice}",
  ]
  return "\n".join(lines)


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  cli.define_gin_flags()
  flags.DEFINE_integer("num_videos", None, "Number of training videos.", lower_bound=2)
  flags.DEFINE_integer("num_channels", 1, "Number of channels of the audio.", lower_bound=1)
  flags.DEFINE_integer("num_classes", 400, "Number of classes of the labels.", lower_bound=2)
  flags.DEFINE_integer("replicas", 1, "Number of devices that share a batch.", lower_bound=1)
  flags.DEFINE_integer("measure_clips", 0, "Clips of a measured step; 0: none.", lower_bound=0)
  flags.DEFINE_float("device_gb", 16.0, "Memory of a device, 10^9 bytes.", lower_bound=0.1)
  flags.mark_flag_as_required("num_videos")


def main() -> None:
  """Prints the estimate for the configuration of the command line."""
  define_flags()
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  cli.hide_gpus()  # Nothing is computed, and the device may be in use.
  if not FLAGS.gin_file:
    raise UserError("Set a configuration, for example --gin_file=gin/avid.gin.")
  configuration.parse(FLAGS.gin_file, FLAGS.gin_param)
  task, batch, clips = make_task(FLAGS.num_channels, FLAGS.num_classes)
  if clips % FLAGS.replicas:
    raise UserError(
      f"batch_size is {clips}; expected a multiple of --replicas={FLAGS.replicas}, which share it."
    )
  memory = estimate(task, batch, clips // FLAGS.replicas, FLAGS.num_videos)
  print(text(memory, FLAGS.device_gb))
  if FLAGS.measure_clips:
    task.accumulate_steps = gin.get_bindings("train").get("accumulate_steps", 1)
    memory = estimate(task, batch, FLAGS.measure_clips, _TRACED_VIDEOS)
    variables = memory.weights + memory.optimizer + memory.banks  # They exist before the step.
    estimated = memory.total(task.accumulate_steps) - variables
    measured = measure(task, batch, FLAGS.measure_clips)
    print(
      f"A step of {FLAGS.measure_clips} clips, {task.accumulate_steps} part(s), on the CPU: "
      f"{measured / 1e9:.2f} GB measured, {estimated / 1e9:.2f} GB estimated"
    )


if __name__ == "__main__":
  main()
