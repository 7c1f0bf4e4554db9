#!/usr/bin/env python3
"""Draws generated sound fields and the ground truth over 360° frames.

  python tools/draw_generation.py --model_dir=runs/spatial_audio --output=generation.png

Draws two rows per clip of the training records of the model, or of --data_dir: frames with the
energy of the true field, and below with that of the field that the model generates from W. Frames
are brighter in directions of high sound energy. Circles mark the true directions of the sources.
"""

import os
import sys

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from absl import flags

from avssl_tf import cli, local_paths
from avssl_tf.foreign_text import printable
from avssl_tf.report import generation_examples
from avssl_tf.report.drawings import generation_picture, picture_files
from avssl_tf.training import loading

FLAGS = flags.FLAGS


def main() -> None:
  """Draws the clips."""
  define_flags()
  cli.main(_run, stopped="Stopped; nothing was written.")


def _run() -> None:
  picture_files.check(FLAGS.output, "--output")
  loaded = loading.load(FLAGS.model_dir)
  data_dir = loaded.records(FLAGS.data_dir)
  examples = generation_examples.fields(
    loaded.generator, data_dir, FLAGS.split, FLAGS.num_clips
  )
  drawn = [generation_examples.moments(example, FLAGS.num_moments) for example in examples]
  generation_picture.draw(drawn).savefig(FLAGS.output)
  for clip in drawn:
    print(printable(clip.title))
  print(f"Image: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  local_paths.define_flag(
    "model_dir", None, "Folder of a run of gin/spatial_audio.gin, or SavedModel."
  )
  local_paths.define_flag(
    "data_dir", None, "360° records; default: the training records of the run."
  )
  flags.DEFINE_string("split", "test", "Split, or slice of a split, of the clips.")
  flags.DEFINE_integer("num_clips", 2, "Number of clips to draw.", 1)
  flags.DEFINE_integer("num_moments", 3, "Number of frames per clip.", 1)
  local_paths.define_flag("output", "generation.png", "Image file to write.")
  flags.mark_flag_as_required("model_dir")


if __name__ == "__main__":
  main()
