"""Measures training steps: full-size networks compared with plain Keras, and large memory banks.

  python tools/benchmark_step.py

Prints clips per second of R(2+1)D-18 with the audio network (8 x 112 x 112 pixels, 2 s of audio,
batch 8) in float32 and mixed_bfloat16, compared with the same networks in plain Keras layers. Steps
of both alternate, because timings vary over time. Then prints milliseconds per AVID step with banks
of 10 thousand and of 2 million rows.
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

from avssl_tf import keys, spectrograms
from avssl_tf.losses import avid
from avssl_tf.models import audio_net, av_model, front_end, projection, r2plus1d
from avssl_tf.tasks import instance_discrimination

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Clips per step.", lower_bound=1)
_NUM_ROUNDS = flags.DEFINE_integer("num_rounds", 5, "Measured steps of each.", lower_bound=1)
_PRECISIONS = flags.DEFINE_list(
  "precisions", ["float32", "mixed_bfloat16"], "Keras policies to measure."
)
_BANK_ROWS = flags.DEFINE_list("bank_rows", ["10000", "2000000"], "Numbers of bank rows.")


def measure(calls: dict[str, Callable[[], tf.Tensor]], num_rounds: int) -> dict[str, list[float]]:
  """Seconds of `num_rounds` alternating calls of each function, after one warm-up call."""
  for call in calls.values():
    call().numpy()
  seconds = {name: [] for name in calls}
  for _ in range(num_rounds):
    for name, call in calls.items():
      start = time.perf_counter()
      call().numpy()
      seconds[name].append(time.perf_counter() - start)
  return seconds


def _plain_video_net() -> tf.keras.Model:
  layers = tf.keras.layers

  def conv(filters, kernel, strides=(1, 1, 1)):
    return layers.Conv3D(filters, kernel, strides, padding="same", use_bias=False)

  def norm_relu(x):
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))

  inputs = layers.Input([8, 112, 112, 3])
  x = norm_relu(conv(64, (3, 7, 7), (1, 2, 2))(inputs))
  x = layers.MaxPool3D((1, 3, 3), (1, 2, 2), "same")(x)
  width = 64
  for filters, stage_stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
    for stride in (stage_stride, 1):
      residual = x
      if width != filters or stride > 1:
        residual = conv(filters, (1, 1, 1), (stride,) * 3)(x)
      x = norm_relu(conv(filters, (1, 3, 3), (1, stride, stride))(x))
      x = norm_relu(conv(filters, (3, 1, 1), (stride, 1, 1))(x))
      x = norm_relu(conv(filters, (1, 3, 3))(x))
      x = norm_relu(conv(filters, (3, 1, 1))(x) + residual)
      width = filters
  return tf.keras.Model(inputs, layers.GlobalMaxPool3D()(x))


def _plain_audio_net() -> tf.keras.Model:
  layers = tf.keras.layers

  def block(x, filters, kernel, stride):
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))

  inputs = layers.Input([200, 257, 1])
  x = block(inputs, 64, 7, 2)
  for filters, stride in ((64, 2), (128, 2), (256, 2), (512, 1)):
    x = block(block(x, filters, 3, stride), filters, 3, 1)
  return tf.keras.Model(inputs, layers.GlobalMaxPool2D()(x))


def _network_step(video_net, audio_net_, features) -> Callable[[], tf.Tensor]:
  """One Adam step of two networks on random input."""
  optimizer = tf.keras.optimizers.Adam(1e-4)
  frames = tf.random.normal([_BATCH_SIZE.value, 8, 112, 112, 3])
  spectrogram = tf.random.normal([_BATCH_SIZE.value, 200, 257, 1])

  @tf.function
  def step():
    with tf.GradientTape() as tape:
      outputs = features(video_net(frames, training=True), audio_net_(spectrogram, training=True))
      loss = tf.add_n([tf.reduce_mean(tf.square(tf.cast(x, tf.float32))) for x in outputs])
    variables = video_net.trainable_variables + audio_net_.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return loss

  return step


def _bank_step(num_rows: int) -> Callable[[], tf.Tensor]:
  """One step of AVID with the full-size networks and banks of `num_rows` rows."""
  task = instance_discrimination.InstanceDiscrimination(
    av_model.AudioVisualModel(
      front_end.VideoFrontEnd(),
      r2plus1d.R2Plus1D(),
      projection.MLPHead(name="video_head"),
      front_end.AudioFrontEnd(spectrograms.Spectrogram()),
      audio_net.AudioNet(),
      projection.MLPHead(name="audio_head"),
    ),
    avid.AVID,
    num_videos=num_rows,
  )
  batch = {
    keys.VIDEO: tf.zeros([_BATCH_SIZE.value, 8, 112, 112, 3], tf.uint8),
    keys.AUDIO: tf.random.normal([_BATCH_SIZE.value, 48000, 1]),
    keys.INDEX: tf.random.uniform([_BATCH_SIZE.value], maxval=num_rows, dtype=tf.int64),
  }
  task(batch)
  task.compile(optimizer=tf.keras.optimizers.Adam(1e-4))
  step = tf.function(task.train_step)
  return lambda: step(batch)["loss"]


def main() -> None:
  """Prints both tables."""
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  print(f"{'training step, clips/s':28} {'best':>8} {'median':>8}")
  for precision in _PRECISIONS.value:
    tf.keras.mixed_precision.set_global_policy(precision)
    steps = {
      "avssl_tf": _network_step(
        r2plus1d.R2Plus1D(), audio_net.AudioNet(), lambda v, a: (v["pooled"], a["pooled"])
      ),
      "plain Keras": _network_step(
        _plain_video_net(), _plain_audio_net(), lambda v, a: (v, a)
      ),
    }
    for name, seconds in measure(steps, _NUM_ROUNDS.value).items():
      best, median = (_BATCH_SIZE.value / f(seconds) for f in (np.min, np.median))
      print(f"{precision + ', ' + name:28} {best:8.2f} {median:8.2f}", flush=True)
  tf.keras.mixed_precision.set_global_policy("float32")
  print(f"\n{'AVID step, ms':28} {'best':>8} {'median':>8}")
  calls = {f"{int(rows):,} rows": _bank_step(int(rows)) for rows in _BANK_ROWS.value}
  for name, seconds in measure(calls, _NUM_ROUNDS.value).items():
    print(f"{name:28} {1e3 * np.min(seconds):8.1f} {1e3 * np.median(seconds):8.1f}")


if __name__ == "__main__":
  main()
