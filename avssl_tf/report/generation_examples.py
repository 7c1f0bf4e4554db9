"""Clips with the sound field that a network generates from W, and the true one."""

import dataclasses

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation.sound_fields import sound_field_metrics
from avssl_tf.inference import generator as generator_lib
from avssl_tf.inference.generator import Generator
from avssl_tf.report.drawings.generation_picture import GeneratedClip
from avssl_tf.spatial import ambisonics, directions

_ENERGY_HEIGHT = 45


@dataclasses.dataclass(frozen=True)
class FieldExample:
  """A clip with its true and generated sound fields.

  Attributes:
    key: id of the example.
    frames: uint8 `[T, H, 2 H, 3]`, equirectangular.
    frame_rate_hz: frame rate.
    target: float32 `[samples, 4]`, the true field (ACN/SN3D).
    field: same shape, the generated field.
    sample_rate_hz: sample rate of both fields.
    tracks: float32 `[steps, sources, 3]`, directions of the sound sources; 0: no source.
    error_db: error of the generated field relative to the energy of the target, without W.
  """

  key: str
  frames: np.ndarray
  frame_rate_hz: float
  target: np.ndarray
  field: np.ndarray
  sample_rate_hz: int
  tracks: np.ndarray
  error_db: float


def fields(generator: Generator, data_dir: str, split: str, count: int) -> list[FieldExample]:
  """Generates the sound fields of clips that `evaluation_dataset` selects from a split.

  Args:
    generator: the network.
    data_dir: folder of 360° records.
    split: split, or slice of a split.
    count: maximum number of clips.
  """
  generator_lib.check_records(DatasetInfo.load(data_dir), data_dir)
  clip = dataclasses.replace(generator.clip, sample_rate_hz=generator.sample_rate_hz)
  found = []
  for batch in datasets.evaluation_dataset(data_dir, split, clip, 1, max_records=count):
    target, field = batch[keys.AUDIO][0].numpy(), generator.generate(batch)[0].numpy()
    found.append(
      FieldExample(
        key=batch[keys.KEY].numpy()[0].decode("utf-8", "replace"),
        frames=batch[keys.VIDEO][0].numpy(),
        frame_rate_hz=clip.frame_rate_hz,
        target=target,
        field=field,
        sample_rate_hz=generator.sample_rate_hz,
        tracks=batch[keys.SOURCES][0].numpy(),
        error_db=sound_field_metrics.relative_error_db(
          target[:, 1:], field[:, 1:], generator.sample_rate_hz
        ),
      )
    )
  return found


def moments(example: FieldExample, count: int) -> GeneratedClip:
  """Prepares an example for drawing.

  Args:
    example: the clip.
    count: number of evenly spaced frames; at most the number of frames of the clip.
  """
  num_frames = len(example.frames)
  chosen = np.linspace(0, num_frames - 1, min(count, num_frames)).round().astype(int)
  return GeneratedClip(
    title=f"{example.key}, error {example.error_db:.1f} dB",
    frames=example.frames[chosen],
    true_energy=_energies(example.target, num_frames)[chosen],
    generated_energy=_energies(example.field, num_frames)[chosen],
    sources_rad=_sources(example.tracks, num_frames, chosen),
  )


def _energies(field: np.ndarray, num_frames: int) -> np.ndarray:
  """Energy from each direction during each frame."""
  parts = field[: len(field) // num_frames * num_frames].reshape(num_frames, -1, 4)
  maps = ambisonics.energy_map(tf.constant(parts), _ENERGY_HEIGHT, 2 * _ENERGY_HEIGHT)
  return maps.numpy() ** 2


def _sources(tracks: np.ndarray, num_frames: int, chosen: np.ndarray):
  """Azimuth and elevation of the sources at the chosen frames; None without sources."""
  known = tracks.any(axis=(0, 2))
  if not known.any():
    return None
  steps = ((chosen + 0.5) / num_frames * len(tracks)).astype(int)
  return np.stack(directions.angles(tf.constant(tracks[steps][:, known])), axis=-1)
