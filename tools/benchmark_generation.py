#!/usr/bin/env python3
"""Measures the speed of sound field generation relative to real time.

  python tools/benchmark_generation.py
  python tools/benchmark_generation.py --gin_file=gin/spatial_audio.gin \\
    --gin_file=gin/scale/yt_all.gin

Networks have random weights, which does not affect the speed.
"""

import os
import sys
import time

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.

# isort: split
import gin
import tensorflow as tf
from absl import flags

from avssl_tf.data.pipeline import clip_kinds
from avssl_tf.training.configurations import configuration
from avssl_tf.training.configurations.settings import ConfigurationError

FLAGS = flags.FLAGS
_DEFAULT = "gin/spatial_audio.gin"


def generated_per_sec(batch_size: int, num_rounds: int) -> float:
  """Seconds of audio that the configured network generates per second.

  Args:
    batch_size: number of clips per batch.
    num_rounds: number of measurements. The fastest counts, because other programs only add time.

  Raises:
    ConfigurationError: the configured network does not generate sound fields.
  """
  bound = gin.get_bindings("train")
  network, clip = bound["network"](), bound["clip"]
  if not network.generates:
    raise ConfigurationError(
      f"The configured network is {type(network).__name__}; expected a network that generates "
      f"sound fields, such as in {_DEFAULT}."
    )
  batch = clip_kinds.kind_of(clip).zero_batch(network.sample_rate_hz, num_channels=1)
  batch = {name: tf.repeat(values[:1], batch_size, axis=0) for name, values in batch.items()}
  generate = tf.function(network.generate)
  generate(batch)
  seconds = []
  for _ in range(num_rounds):
    start = time.perf_counter()
    generate(batch).numpy()
    seconds.append(time.perf_counter() - start)
  return batch_size * clip.audio_sec / min(seconds)


def main() -> None:
  """Measures and prints."""
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  files = FLAGS.gin_file or [_DEFAULT]
  configuration.parse(files, FLAGS.gin_param)
  ratio = generated_per_sec(FLAGS.batch_size, FLAGS.num_rounds)
  print(f"{' '.join(files)}: {ratio:.2f} x real time")


if __name__ == "__main__":
  flags.DEFINE_integer("batch_size", 4, "Clips per batch.", lower_bound=1)
  flags.DEFINE_integer("num_rounds", 5, "Number of measurements.", lower_bound=1)
  cli.define_gin_flags()
  main()
