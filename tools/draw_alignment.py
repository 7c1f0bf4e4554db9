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
  """Draws, and says how many views got their own sound."""
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
  print(f"{right} of {total} views got their own sound. Drawn: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags of this command; not at import, where they would meet those of others."""
  local_paths.define_flag("model_dir", None, "Folder of a run of 360° clips, or of a SavedModel.")
  local_paths.define_flag(
    "data_dir", None, "360° records; default: those that the run was trained on."
  )
  flags.DEFINE_string("split", "test", "Split, or slice of one, that the clips are taken from.")
  flags.DEFINE_integer("num_clips", 4, "Clips of the split in the picture.", 1)
  local_paths.define_flag("output", "alignment.png", "Picture to draw.")
  flags.mark_flag_as_required("model_dir")


if __name__ == "__main__":
  main()
