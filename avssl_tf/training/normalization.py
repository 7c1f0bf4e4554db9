"""Gives a network what it has to know of its data before it sees any."""

import numpy as np

from avssl_tf.data.building import spectrogram_statistics
from avssl_tf.data.pipeline import datasets
from avssl_tf.keys import AUDIO
from avssl_tf.models.network import Network, Statistics
from avssl_tf.spectrograms import Spectrogram
from avssl_tf.training.training_data import TrainingData

# Enough for a mean and a spread per bin; more would only take longer.
_MAX_CLIPS = 1000


def prepare(network: Network, data: TrainingData) -> None:
  """Gives a network the statistics of its data; see `Network.prepare`.

  Raises:
    UserError: the sound's sample rate is not the one that the network expects.
  """
  network.prepare(data.sample_rate_hz, lambda spectrogram: statistics(spectrogram, data))


def statistics(spectrogram: Spectrogram, data: TrainingData) -> Statistics:
  """The statistics of a spectrogram: stored ones where the data has them, else measured ones."""
  stored = None
  if data.sample_rate_hz == data.info.sample_rate_hz:
    stored = data.info.spectrogram_statistics.get(spectrogram.id)
  return _measure(spectrogram, data) if stored is None else stored


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
