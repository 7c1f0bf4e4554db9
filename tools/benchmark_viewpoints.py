#!/usr/bin/env python3
"""Measures viewport cropping and sound field rotation of 360° clips, compared with NumPy.

  python tools/benchmark_viewpoints.py                    # clips of the 360° demo world
  python tools/benchmark_viewpoints.py --height=224 --size=112 --sample_rate_hz=24000    # real ones

A batch of clips is processed alternately by the graph that training uses and by the same operations
in NumPy: gnomonic projection, bilinear interpolation of all frames at once, and a rotation of the
sound field for each view. The tool checks that both give the same views to within one grey level.
It prints wall-clock time and processor time.
"""

import os
import sys
import time
from typing import Callable

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.

# isort: split
import numpy as np
import tensorflow as tf
from absl import flags

from avssl_tf.data.pipeline import viewpoints
from avssl_tf.data.pipeline.viewpoints import Viewpoints, ViewpointSpec

FLAGS = flags.FLAGS

# Frames, sound fields and viewpoints of a batch -> views and rotated sound fields.
Function = Callable[[np.ndarray, np.ndarray, list[np.ndarray]], tuple[np.ndarray, np.ndarray]]


def in_numpy(
  frames: np.ndarray, fields: np.ndarray, views: list[np.ndarray], size: int
) -> tuple[np.ndarray, np.ndarray]:
  """The same operations in NumPy, one clip at a time.

  Args:
    frames: uint8 `[B, T, H, 2 H, 3]`.
    fields: float32 `[B, samples, 4]`.
    views: fields of `Viewpoints`, each `[B, K]`.
    size: height and width of a view.

  Returns:
    uint8 `[B, K, T, size, size, 3]` and float32 `[B, K, samples, 4]`.
  """
  cropped, rotated = [], []
  for clip, field, *places in zip(frames, fields, *views):
    rotations = _rotations(*places[:2])
    cropped.append(_look(clip, rotations, *places[2:4], size))
    # First order: (Y, Z, X) rotates like a direction; the viewing direction becomes the front.
    back = rotations.transpose(0, 2, 1)[:, [1, 2, 0]][:, :, [1, 2, 0]]
    turned = np.matmul(field[np.newaxis, :, 1:], back.transpose(0, 2, 1))
    first = np.broadcast_to(field[:, :1], (len(turned), *field[:, :1].shape))
    rotated.append(np.concatenate([first, turned], axis=-1))
  return np.stack(cropped), np.stack(rotated)


def _rotations(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
  """Rotations of the front to the viewing directions: float32 `[K, 3, 3]`."""
  ca, sa, ce, se = np.cos(azimuth), np.sin(azimuth), np.cos(elevation), np.sin(elevation)
  zero = np.zeros_like(ca)
  rows = [[ca * ce, -sa, -ca * se], [sa * ce, ca, -sa * se], [se, zero, ce]]
  return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _look(frames, rotations, horizontal_fov, vertical_fov, size: int) -> np.ndarray:
  num_frames, height, width, _ = frames.shape
  line = (1 - (2 * np.arange(size, dtype=np.float32) + 1) / size).astype(np.float32)
  y = np.tan(horizontal_fov / 2)[:, np.newaxis, np.newaxis] * line
  z = np.tan(vertical_fov / 2)[:, np.newaxis, np.newaxis] * line[:, np.newaxis]
  y, z = np.broadcast_arrays(y, z)
  plane = np.stack([np.ones_like(y), y, z], axis=-1)
  vectors = np.einsum("kij,khwj->khwi", rotations, plane)
  azimuth = np.arctan2(vectors[..., 1], vectors[..., 0])
  elevation = np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1]))
  columns = (0.5 - azimuth / (2 * np.pi)) * width - 0.5
  rows = (0.5 - elevation / np.pi) * height - 0.5
  left, top = np.floor(columns), np.floor(rows)
  right_weight = (columns - left)[..., np.newaxis].astype(np.float32)
  bottom_weight = (rows - top)[..., np.newaxis].astype(np.float32)
  left, top = left.astype(np.int32), top.astype(np.int32)
  pixels = frames.transpose(1, 2, 0, 3).reshape(height * width, -1)

  def corner(row, column):
    beyond = (row < 0) | (row >= height)
    column = np.where(beyond, column + width // 2, column)
    row = np.where(row < 0, -1 - row, np.where(row >= height, 2 * height - 1 - row, row))
    return pixels[row * width + column % width].astype(np.float32)

  upper, lower = (
    corner(row, left) + right_weight * (corner(row, left + 1) - corner(row, left))
    for row in (top, top + 1)
  )
  values = np.rint(upper + bottom_weight * (lower - upper)).astype(np.uint8)
  return values.reshape(-1, size, size, num_frames, 3).transpose(0, 3, 1, 2, 4)


def in_graph(size: int) -> Function:
  """The operations of training, compiled, with the clips of a batch in parallel."""

  @tf.function
  def call(frames, fields, views):
    def of_clip(one):
      clip, field, places = one
      chosen = Viewpoints(*places)
      return viewpoints.look(clip, chosen, size), viewpoints.listen(field, chosen)

    return tf.map_fn(
      of_clip,
      (frames, fields, views),
      fn_output_signature=(tf.uint8, tf.float32),
      parallel_iterations=len(os.sched_getaffinity(0)),
    )

  return lambda *arguments: tuple(value.numpy() for value in call(*arguments))


def main() -> None:
  """Measures and prints."""
  define_flags()
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  rng = np.random.default_rng(0)
  count, size = FLAGS.batch_size, FLAGS.size
  spec = ViewpointSpec(num_viewpoints=FLAGS.num_viewpoints, flip_probability=0.0)
  drawn = [viewpoints.draw(spec, rng.random(spec.num_uniforms)) for _ in range(count)]
  views = [np.stack([view[i].numpy() for view in drawn]) for i in range(len(drawn[0]))]
  frames = rng.integers(
    0, 256, (count, FLAGS.num_frames, FLAGS.height, 2 * FLAGS.height, 3), np.uint8
  )
  num_samples = round(FLAGS.audio_sec * FLAGS.sample_rate_hz)
  fields = rng.normal(size=(count, num_samples, 4)).astype(np.float32)
  tensors = [tf.constant(value) for value in (frames, fields)] + [[tf.constant(v) for v in views]]
  graph = in_graph(size)
  calls = {
    "NumPy": lambda: in_numpy(frames, fields, views, size),
    "graph": lambda: graph(*tensors),
  }
  found = {name: call() for name, call in calls.items()}
  grey = np.abs(found["NumPy"][0].astype(int) - found["graph"][0]).max()
  if grey > 1 or not np.allclose(found["NumPy"][1], found["graph"][1], atol=1e-4):
    sys.exit(f"Error: the results differ (views by up to {grey} grey levels).")
  passed = {name: 0.0 for name in calls}
  processor = {name: 0.0 for name in calls}
  for _ in range(FLAGS.repeats):
    for name, call in calls.items():
      starts = time.perf_counter(), time.process_time()
      call()
      passed[name] += time.perf_counter() - starts[0]
      processor[name] += time.process_time() - starts[1]
  print(
    f"{count} clips, {spec.num_viewpoints} views of {FLAGS.num_frames} frames of {size} x {size} "
    f"from {2 * FLAGS.height} x {FLAGS.height}, {num_samples} audio samples"
  )
  print(f"{'':8s}{'ms per clip':>12s}{'processor ms':>14s}")
  for name in calls:
    scale = 1000 / FLAGS.repeats / count
    print(f"{name:8s}{passed[name] * scale:12.2f}{processor[name] * scale:14.2f}")
  print(f"NumPy over graph {passed['NumPy'] / passed['graph']:.2f}")


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  flags.DEFINE_integer("batch_size", 16, "Clips per batch.", lower_bound=1)
  flags.DEFINE_integer("num_viewpoints", 4, "Views per clip.", lower_bound=1)
  flags.DEFINE_integer("num_frames", 8, "Frames per clip.", lower_bound=1)
  flags.DEFINE_integer("height", 64, "Height of the 360° frames; the width is twice the height.", 2)
  flags.DEFINE_integer("size", 32, "Height and width of a view.", lower_bound=1)
  flags.DEFINE_integer("sample_rate_hz", 8000, "Sample rate of the audio.", lower_bound=1)
  flags.DEFINE_float("audio_sec", 1.2, "Duration of the audio.", lower_bound=0.01)
  flags.DEFINE_integer("repeats", 20, "Number of measured batches.", lower_bound=1)


if __name__ == "__main__":
  main()
