"""Gives a network what it has to know of its data before it sees any."""

import numpy as np
import tensorflow as tf

from avssl_tf.data.building import spectrogram_statistics
from avssl_tf.data.pipeline import datasets
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO
from avssl_tf.models import front_end
from avssl_tf.spectrograms import Spectrogram
from avssl_tf.training.training_data import TrainingData

# Enough for a mean and a spread per bin; more would only take longer.
_MAX_CLIPS = 1000


def prepare(network: tf.keras.Model, data: TrainingData) -> None:
  """Sets the statistics of a network's audio front end; where it has none, checks rates alone.

  Raises:
    UserError: the sound's sample rate is not the one that the network expects.
  """
  if hasattr(network, "audio_front_end"):
    apply(network.audio_front_end, data)
  elif data.sample_rate_hz != network.sample_rate_hz:
    name = type(network).__name__
    raise UserError(
      f"The sound of the clips has {data.sample_rate_hz} Hz, the network expects "
      f"{network.sample_rate_hz} Hz. Set ClipSpec.sample_rate_hz={network.sample_rate_hz} to "
      f"convert the sound, or {name}.sample_rate_hz (and its lengths)."
    )


def apply(layer: front_end.AudioFrontEnd, data: TrainingData) -> None:
  """Sets the statistics of `layer`: stored ones where the data has them, else measured ones.

  Raises:
    UserError: the sound's sample rate is not the one that the front end expects.
  """
  spectrogram = layer.spectrogram
  if data.sample_rate_hz != spectrogram.sample_rate_hz:
    raise UserError(
      f"The sound of the clips has {data.sample_rate_hz} Hz, the spectrogram expects "
      f"{spectrogram.sample_rate_hz} Hz. Set ClipSpec.sample_rate_hz={spectrogram.sample_rate_hz} "
      "to convert the sound, or Spectrogram.sample_rate_hz (and its lengths)."
    )
  stored = None
  if data.sample_rate_hz == data.info.sample_rate_hz:
    stored = data.info.spectrogram_statistics.get(spectrogram.id)
  if stored is None:
    stored = _measure(spectrogram, data)
  layer.set_statistics(stored["mean"], stored["std"])


def _measure(spectrogram: Spectrogram, data: TrainingData) -> dict[str, list[float]]:
  num_clips = min(_MAX_CLIPS, data.num_videos)
  print(f"Measuring the spectrograms of {num_clips} clips: the records have no statistics of them.")
  dataset = datasets.evaluation_dataset(
    data.data_dir, data.split, data.clip, batch_size=1, max_records=num_clips
  )
  parts = [
    spectrogram_statistics.measure(spectrogram, _channels(batch[AUDIO][0].numpy()))
    for batch in dataset
  ]
  return spectrogram_statistics.combine(parts, spectrogram.num_bins)


def _channels(waveform: np.ndarray) -> np.ndarray:
  """`[samples, channels]` as it is; of viewpoints, `[K, samples, channels]`, all channels."""
  if waveform.ndim == 2:
    return waveform
  return np.moveaxis(waveform, 0, 1).reshape(waveform.shape[1], -1)
