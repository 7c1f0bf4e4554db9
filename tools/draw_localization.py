#!/usr/bin/env python3
"""Draws clips with maps of where a network takes their sound to come from, and what sounds.

  python tools/draw_localization.py --model_dir=runs/avid --output=localization.png

Each row is a clip of the records that the model was trained on, or of --data_dir: a frame, the
similarity of its places to the sound, and what is taken for the source; boxes are the truth. The
settings are those of gin/evaluate/localization.gin, and of --gin_file and --gin_param.
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
  """Draws, and says in how many clips the source was found."""
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
    raise UserError(f"Of no clip in {data_dir!r} is it known where it sounds.")
  localization_picture.draw(clips, num_columns=2).savefig(FLAGS.output)
  found = sum(clip.is_found for clip in clips)
  print(f"The source was found in {found} of {len(clips)} clips. Drawn: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags of this command; not at import, where they would meet those of others."""
  cli.define_gin_flags()
  local_paths.define_flag("model_dir", None, "Folder of a run, of a checkpoint or of a SavedModel.")
  local_paths.define_flag("data_dir", None, "Records; default: those that the run was trained on.")
  flags.DEFINE_integer("num_clips", 6, "Clips in the picture, the first with a known source.", 1)
  local_paths.define_flag("output", "localization.png", "Picture to draw.")
  flags.mark_flag_as_required("model_dir")


if __name__ == "__main__":
  main()
