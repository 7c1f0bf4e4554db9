"""Gives an audio front end the mean and spread of the spectrograms it will see."""

from absl import logging

from avssl_tf.data import dataset_info, pipeline, spectrogram_statistics
from avssl_tf.models import front_end
from avssl_tf.types import AUDIO

# Enough for a mean and a spread per bin; more would only take longer.
_MAX_CLIPS = 1000


def apply(
  layer: front_end.AudioFrontEnd,
  info: dataset_info.DatasetInfo,
  data_dir: str,
  split: str,
  clip: pipeline.ClipSpec,
) -> None:
  """Sets the statistics of `layer`: stored ones where the data has them, else measured ones.

  Args:
    layer: the front end.
    info: description of the data set.
    data_dir: folder of the records.
    split: records to measure on.
    clip: what of a record the network sees.

  Raises:
    ValueError: the records' sample rate is not the one that the front end expects.
  """
  spectrogram = layer.spectrogram
  if info.sample_rate_hz != spectrogram.sample_rate_hz:
    raise ValueError(
      f"The records in {data_dir} hold sound at {info.sample_rate_hz} Hz, the spectrogram expects "
      f"{spectrogram.sample_rate_hz} Hz. Set Spectrogram.sample_rate_hz (and its lengths), or "
      "build the records with --sample_rate_hz."
    )
  stored = info.spectrogram_statistics.get(spectrogram.id)
  if stored is None:
    logging.info("No stored statistics of the spectrogram %r: measuring them.", spectrogram.id)
    stored = _measure(spectrogram, info, data_dir, split, clip)
  layer.set_statistics(stored["mean"], stored["std"])


def _measure(spectrogram, info, data_dir, split, clip):
  num_clips = min(_MAX_CLIPS, info.num_clips(split))
  dataset = pipeline.evaluation_dataset(data_dir, split, clip, batch_size=1)
  parts = [
    spectrogram_statistics.measure(spectrogram, batch[AUDIO][0].numpy())
    for batch in dataset.take(num_clips)
  ]
  return spectrogram_statistics.combine(parts, spectrogram.num_bins)
