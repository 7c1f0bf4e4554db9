#!/usr/bin/env python3
"""Draws generated sound fields over their 360° frames, beside the true ones.

  python tools/draw_generation.py --model_dir=runs/spatial_audio --output=generation.png

Two rows a clip of the records that the model was trained on, or of --data_dir: moments of it with
the energy of the true field, and below with that of the field that the model generates of W. Frames
are brighter where sound comes from; circles are the true directions of what sounds, in both.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
import dataclasses

import numpy as np
import tensorflow as tf
from absl import app, flags

from avssl_tf import types
from avssl_tf.data import pipeline
from avssl_tf.data.dataset_info import DatasetInfo
from avssl_tf.evaluation import generator as generator_lib
from avssl_tf.evaluation import sound_field_metrics
from avssl_tf.evaluation.generator import Generator
from avssl_tf.report import generation_picture, picture_files
from avssl_tf.report.generation_picture import GeneratedClip
from avssl_tf.spatial import ambisonics, directions
from avssl_tf.training import encoders, generators, terminal

FLAGS = flags.FLAGS

_ENERGY_HEIGHT = 45


def clips(
  generator: Generator, data_dir: str, split: str, count: int, num_moments: int
) -> list[GeneratedClip]:
  """The first clips of a split as they are drawn.

  Args:
    generator: the network.
    data_dir: folder of 360° records.
    split: split, or slice of one.
    count: number of clips; all, where there are fewer.
    num_moments: moments of a clip, at most as many as it has frames.
  """
  generator_lib.check_records(DatasetInfo.load(data_dir), data_dir)
  clip = dataclasses.replace(generator.clip, sample_rate_hz=generator.sample_rate_hz)
  moments = np.linspace(0, clip.num_frames - 1, num_moments).round().astype(int)
  found = []
  for batch in pipeline.evaluation_dataset(data_dir, split, clip, 1).take(count):
    target, field = batch[types.AUDIO][0].numpy(), generator.generate(batch)[0].numpy()
    error_db = sound_field_metrics.relative_error_db(
      target[:, 1:], field[:, 1:], generator.sample_rate_hz
    )
    key = batch[types.KEY].numpy()[0].decode("utf-8", "replace")
    found.append(
      GeneratedClip(
        title=f"{key}, error {error_db:.1f} dB",
        frames=batch[types.VIDEO][0].numpy()[moments],
        true_energy=_energies(target, clip.num_frames)[moments],
        generated_energy=_energies(field, clip.num_frames)[moments],
        sources_rad=_sources(batch[types.SOURCES][0].numpy(), clip.num_frames, moments),
      )
    )
  return found


def _energies(field: np.ndarray, num_frames: int) -> np.ndarray:
  """Energy from each direction in the part of the time that each frame stands for."""
  parts = field[: len(field) // num_frames * num_frames].reshape(num_frames, -1, 4)
  maps = ambisonics.energy_map(tf.constant(parts), _ENERGY_HEIGHT, 2 * _ENERGY_HEIGHT)
  return maps.numpy() ** 2


def _sources(tracks: np.ndarray, num_frames: int, moments: np.ndarray):
  """Azimuth and elevation of the sources at some frames; None where there are none."""
  known = tracks.any(axis=(0, 2))
  if not known.any():
    return None
  steps = ((moments + 0.5) / num_frames * len(tracks)).astype(int)
  return np.stack(directions.angles(tf.constant(tracks[steps][:, known])), axis=-1)


def main(argv: list[str]) -> None:
  """Draws."""
  if len(argv) > 1:
    raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
  terminal.quiet_libraries()
  try:
    picture_files.check(FLAGS.output, "--output")
    loaded = generators.load(FLAGS.model_dir)
    data_dir = encoders.records_for(FLAGS.model_dir, loaded.data_dir, FLAGS.data_dir)
    num_moments = min(FLAGS.num_moments, loaded.generator.clip.num_frames)
    drawn = clips(loaded.generator, data_dir, FLAGS.split, FLAGS.num_clips, num_moments)
    generation_picture.draw(drawn, FLAGS.output)
  except terminal.PLAIN_ERRORS as error:
    terminal.end_with(error, configurable="draw_generation")
  for clip in drawn:
    print(clip.title)
  print(f"Drawn: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags of this command; not at import, where they would meet those of others."""
  flags.DEFINE_string("model_dir", None, "Folder of a run of gin/spatial_audio.gin, or SavedModel.")
  flags.DEFINE_string("data_dir", None, "360° records; default: those that the run was trained on.")
  flags.DEFINE_string("split", "test", "Split, or slice of one, that the clips are taken from.")
  flags.DEFINE_integer("num_clips", 2, "Clips in the picture, the first of the split.", 1)
  flags.DEFINE_integer("num_moments", 3, "Moments of each clip.", 1)
  flags.DEFINE_string("output", "generation.png", "Picture to draw.")
  flags.mark_flag_as_required("model_dir")


if __name__ == "__main__":
  define_flags()
  app.run(main)
