#!/usr/bin/env python3
"""Draws 360° clips with viewpoints, sound energy and audio-visual matches of a model.

  python tools/draw_alignment.py --model_dir=runs/avsa --output=alignment.png

Each row is a clip of the training records of the model, or of --data_dir. On the left is the frame,
brighter in directions of high sound energy, with the outlines of the viewpoints. Circles mark
sounding objects, crosses silent ones. The label under each viewpoint names the audio that the model
matches with it. On the right is the similarity matrix of all viewpoints.
"""

import os
import sys

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
import numpy as np
from absl import flags

from avssl_tf import cli, local_paths
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation.alignment import view_features
from avssl_tf.report import alignment_examples
from avssl_tf.report.drawings import alignment_picture, picture_files
from avssl_tf.training import loading

FLAGS = flags.FLAGS


def main() -> None:
  """Draws the clips and prints the number of correct matches."""
  define_flags()
  cli.main(_run, stopped="Stopped; nothing was written.")


def _run() -> None:
  picture_files.check(FLAGS.output, "--output")
  loaded = loading.load(FLAGS.model_dir)
  data_dir = loaded.records(FLAGS.data_dir)
  view_features.check(loaded.encoder, DatasetInfo.load(data_dir), data_dir)
  drawn = alignment_examples.clips(loaded.encoder, data_dir, FLAGS.split, FLAGS.num_clips)
  alignment_picture.draw(drawn).savefig(FLAGS.output)
  right = sum(int((clip.matches == np.arange(len(clip.matches))).sum()) for clip in drawn)
  total = sum(len(clip.matches) for clip in drawn)
  print(f"{right} of {total} viewpoints matched with their own audio. Image: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  local_paths.define_flag("model_dir", None, "Folder of a run on 360° clips, or SavedModel.")
  local_paths.define_flag(
    "data_dir", None, "360° records; default: the training records of the run."
  )
  flags.DEFINE_string("split", "test", "Split, or slice of a split, of the clips.")
  flags.DEFINE_integer("num_clips", 4, "Number of clips to draw.", 1)
  local_paths.define_flag("output", "alignment.png", "Image file to write.")
  flags.mark_flag_as_required("model_dir")


if __name__ == "__main__":
  main()
