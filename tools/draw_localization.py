#!/usr/bin/env python3
"""Draws clips with the sound source localisation of a network and the ground truth.

  python tools/draw_localization.py --model_dir=runs/avid --output=localization.png

Each row is a clip of the training records of the model, or of --data_dir: a frame, the similarity
of its positions to the audio, and the predicted source; boxes are the ground truth. The settings
come from gin/evaluate/localization.gin, --gin_file and --gin_param.
"""

import os
import sys

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
import gin
from absl import flags

from avssl_tf import cli, local_paths
from avssl_tf.errors import UserError
from avssl_tf.report.drawings import localization_picture, picture_files
from avssl_tf.training import loading
from avssl_tf.training.configurations import configuration

FLAGS = flags.FLAGS

_SETTINGS = "gin/evaluate/localization.gin"


def main() -> None:
  """Draws the clips and prints the number of localised sources."""
  define_flags()
  cli.main(_run, stopped="Stopped; nothing was written.")


def _run() -> None:
  picture_files.check(FLAGS.output, "--output")
  loaded = loading.load(FLAGS.model_dir)
  data_dir = loaded.records(FLAGS.data_dir)
  configuration.parse([_SETTINGS, *FLAGS.gin_file], FLAGS.gin_param, used_by="evaluate")
  measured_by = gin.get_bindings("evaluate")["protocol"]
  clips = measured_by.examples(loaded.encoder, data_dir, FLAGS.num_clips, progress=True)
  if not clips:
    raise UserError(f"{data_dir!r} has no clip with a known source position.")
  localization_picture.draw(clips, num_columns=2).savefig(FLAGS.output)
  found = sum(clip.is_found for clip in clips)
  print(f"Source localised in {found} of {len(clips)} clips. Image: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  cli.define_gin_flags()
  local_paths.define_flag(
    "model_dir", None, "Folder of a run, a converted checkpoint or a SavedModel."
  )
  local_paths.define_flag("data_dir", None, "Records; default: the training records of the run.")
  flags.DEFINE_integer("num_clips", 6, "Number of clips to draw, the first with a known source.", 1)
  local_paths.define_flag("output", "localization.png", "Image file to write.")
  flags.mark_flag_as_required("model_dir")


if __name__ == "__main__":
  main()
