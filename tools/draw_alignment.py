#!/usr/bin/env python3
"""Draws 360° clips: viewpoints, where sound comes from, and which sound a model gives to a view.

  python tools/draw_alignment.py --model_dir=runs/avsa --output=alignment.png

Each row is a clip of the records that the model was trained on, or of --data_dir. On the left its
frame, brighter where sound comes from, with the outlines of the views; circles are objects that are
known to sound, crosses silent ones. Under each view stands the sound that the model gives to it,
and on the right how similar it takes all of them for.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
import numpy as np
import tensorflow as tf
from absl import app, flags

from avssl_tf import types
from avssl_tf.data import pipeline
from avssl_tf.data.dataset_info import DatasetInfo
from avssl_tf.data.record_reader import RecordReader
from avssl_tf.evaluation import view_features
from avssl_tf.evaluation.encoder import Encoder
from avssl_tf.report import alignment_picture, picture_files
from avssl_tf.report.alignment_picture import AlignedClip
from avssl_tf.spatial import ambisonics
from avssl_tf.training import encoders, terminal

FLAGS = flags.FLAGS

_ENERGY_HEIGHT = 60


def clips(encoder: Encoder, data_dir: str, split: str, count: int) -> list[AlignedClip]:
  """The first clips of a split as they are drawn.

  Args:
    encoder: a network of 360° clips.
    data_dir: folder of 360° records.
    split: split, or slice of one.
    count: number of clips; all, where there are fewer.
  """
  dataset = pipeline.evaluation_dataset(data_dir, split, encoder.clip, 1)
  reader = RecordReader(data_dir, split)
  found = []
  for number, batch in enumerate(dataset.take(count)):
    stored = reader.read(tf.constant(number, tf.int64))
    middle = len(stored.frames) // 2
    features = {
      types.VIDEO: encoder.embed_video(batch[types.VIDEO][0])["features"][tf.newaxis],
      types.AUDIO: encoder.embed_audio(batch[types.AUDIO][0])["features"][tf.newaxis],
    }
    outputs = encoder.translate(features)
    predicted, targets = (outputs[kind][types.AUDIO][0] for kind in ("prediction", "target"))
    truth = stored.truth
    known = truth is not None and len(truth.azimuth_rad) > middle
    places = [truth.azimuth_rad[middle], truth.elevation_rad[middle]] if known else None
    energy = ambisonics.energy_map(stored.waveform, _ENERGY_HEIGHT, 2 * _ENERGY_HEIGHT)
    found.append(
      AlignedClip(
        title=batch[types.KEY].numpy()[0].decode("utf-8", "replace"),
        frame=tf.io.decode_jpeg(stored.frames[middle], channels=3).numpy(),
        energy=energy.numpy(),
        views=batch[types.VIDEO][0, :, encoder.clip.num_frames // 2].numpy(),
        direction_rad=batch[types.DIRECTION][0].numpy(),
        field_of_view_rad=batch[types.FIELD_OF_VIEW][0].numpy(),
        similarity=tf.matmul(predicted, targets, transpose_b=True).numpy(),
        objects_rad=np.stack(places, axis=-1) if known else None,
        is_sounding=truth.is_sounding.numpy() if known else None,
      )
    )
  return found


def main(argv: list[str]) -> None:
  """Draws, and says how many views got their own sound."""
  if len(argv) > 1:
    raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
  terminal.quiet_libraries()
  try:
    picture_files.check(FLAGS.output, "--output")
    loaded = encoders.load(FLAGS.model_dir)
    data_dir = encoders.records_for(FLAGS.model_dir, loaded.data_dir, FLAGS.data_dir)
    view_features.check(loaded.encoder, DatasetInfo.load(data_dir), data_dir)
    drawn = clips(loaded.encoder, data_dir, FLAGS.split, FLAGS.num_clips)
    alignment_picture.draw(drawn, FLAGS.output)
  except terminal.PLAIN_ERRORS as error:
    terminal.end_with(error, configurable="draw_alignment")
  right = sum(int((clip.matches == np.arange(len(clip.matches))).sum()) for clip in drawn)
  total = sum(len(clip.matches) for clip in drawn)
  print(f"{right} of {total} views got their own sound. Drawn: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags of this command; not at import, where they would meet those of others."""
  flags.DEFINE_string("model_dir", None, "Folder of a run of 360° clips, or of a SavedModel.")
  flags.DEFINE_string("data_dir", None, "360° records; default: those that the run was trained on.")
  flags.DEFINE_string("split", "test", "Split, or slice of one, that the clips are taken from.")
  flags.DEFINE_integer("num_clips", 4, "Clips in the picture, the first of the split.", 1)
  flags.DEFINE_string("output", "alignment.png", "Picture to draw.")
  flags.mark_flag_as_required("model_dir")


if __name__ == "__main__":
  define_flags()
  app.run(main)
