"""The real audio-visual model with narrow networks, and matching inputs."""

import numpy as np
import tensorflow as tf

from avssl_tf import spectrograms
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.models import audio_net, av_model, front_end, projection, r2plus1d

SAMPLE_RATE_HZ = 4000
CLIP = ClipSpec(num_frames=4, frame_rate_hz=8.0, frame_size=16, audio_sec=0.5)


def make() -> av_model.AudioVisualModel:
  """A model for clips of `CLIP`, with its variables built."""
  spectrogram = spectrograms.Spectrogram(
    sample_rate_hz=SAMPLE_RATE_HZ, fft_length=64, hop_length=40, num_bins=17
  )
  model = av_model.AudioVisualModel(
    front_end.VideoFrontEnd(),
    r2plus1d.R2Plus1D(depth=6, width_multiplier=1 / 16),
    projection.MLPHead((32, 6), batch_norm=True),
    front_end.AudioFrontEnd(spectrogram),
    audio_net.AudioNet(width_multiplier=1 / 16),
    projection.MLPHead((32, 6)),
  )
  model.embed_video(tf.zeros([1, 4, 16, 16, 3], tf.uint8))
  model.embed_audio(tf.zeros([1, 2000, 1]))
  return model


def frames(rng: np.random.Generator, count: int) -> tf.Tensor:
  """Random frames, uint8 `[count, 4, 16, 16, 3]`."""
  return tf.constant(rng.integers(0, 256, (count, 4, 16, 16, 3)), tf.uint8)


def waveforms(rng: np.random.Generator, count: int) -> tf.Tensor:
  """Noise, float32 `[count, 2000, 1]`."""
  return tf.constant(rng.normal(0, 0.3, (count, 2000, 1)), tf.float32)
