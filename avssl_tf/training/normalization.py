"""Input normalisation of a network: the spectrogram statistics of its training data."""

import numpy as np

from avssl_tf.data.building import spectrogram_statistics
from avssl_tf.data.pipeline import datasets
from avssl_tf.keys import AUDIO
from avssl_tf.models.network import Network, Statistics
from avssl_tf.spectrograms import Spectrogram
from avssl_tf.training.training_data import TrainingData

# Enough for a mean and a standard deviation per bin.
_MAX_CLIPS = 1000


def prepare(network: Network, data: TrainingData) -> None:
  """Sets the input statistics of a network from its training data; see `Network.prepare`.

  Raises:
    UserError: the audio sample rate differs from that of the network.
  """
  network.prepare(data.sample_rate_hz, lambda spectrogram: statistics(spectrogram, data))


def statistics(spectrogram: Spectrogram, data: TrainingData) -> Statistics:
  """Statistics of a spectrogram: stored with the records if available, otherwise measured."""
  stored = None
  if data.sample_rate_hz == data.info.sample_rate_hz:
    stored = data.info.spectrogram_statistics.get(spectrogram.id)
  return _measure(spectrogram, data) if stored is None else stored


def _measure(spectrogram: Spectrogram, data: TrainingData) -> dict[str, list[float]]:
  num_clips = min(_MAX_CLIPS, data.num_videos)
  print(
    f"Measuring spectrogram statistics on {num_clips} clips: the records contain none for this "
    "spectrogram."
  )
  dataset = datasets.evaluation_dataset(
    data.data_dir, data.split, data.clip, batch_size=1, max_records=num_clips
  )
  parts = [
    spectrogram_statistics.measure(spectrogram, _channels(batch[AUDIO][0].numpy()))
    for batch in dataset
  ]
  return spectrogram_statistics.combine(parts, spectrogram.num_bins)


def _channels(waveform: np.ndarray) -> np.ndarray:
  """Returns `[samples, channels]` unchanged, and `[K, samples, channels]` of K views flattened."""
  if waveform.ndim == 2:
    return waveform
  return np.moveaxis(waveform, 0, 1).reshape(waveform.shape[1], -1)
