#!/usr/bin/env python3
"""Draws and prints the energy of an ambisonic recording by direction.

  python tools/draw_sound_field.py --input=recording.wav --output=field.png

Reads the audio of any file with first-order ambisonics. The recording can be rotated first:
--yaw_deg to the left, --pitch_deg upwards, --roll_deg lifts the left side. If the directions are
correct only with another --channel_order, the file has that order.
"""

import os
import sys
from collections.abc import Sequence
from typing import Optional

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
import numpy as np
from absl import flags

from avssl_tf import cli, keys, local_paths
from avssl_tf.data.building.spherical_reader import SphericalReader
from avssl_tf.data.media import clip_reading, media_probe, sound_field
from avssl_tf.errors import MissingFileError, UserError
from avssl_tf.report.drawings import picture_files, sound_field_picture
from avssl_tf.spatial import ambisonics, directions

FLAGS = flags.FLAGS

_SAMPLE_RATE_HZ = 48000


def read(
  path: str, channel_order: str, audio_track: Optional[int] = None
) -> tuple[np.ndarray, Sequence[str]]:
  """The audio of a file: float32 `[samples, 4]`, ACN/SN3D, 48 kHz; and notes for the user.

  Raises:
    MediaError: there is no audio, or no first-order ambisonics in that order.
  """
  choice = sound_field.choose(path, channel_order, audio_track)
  duration_sec = media_probe.probe(path, (keys.AUDIO,), audio_track=choice.track).duration_sec
  found = clip_reading.read_clip(
    path,
    0.0,
    duration_sec,
    sample_rate_hz=_SAMPLE_RATE_HZ,
    num_channels=None,
    modalities=(keys.AUDIO,),
    audio_track=choice.track,
  )
  reader = SphericalReader(sample_rate_hz=_SAMPLE_RATE_HZ, channel_order=channel_order)
  return reader.to_acn(found.waveform, choice.first_order), choice.first_order.notes


def main() -> None:
  """Reads, rotates, measures, draws and prints."""
  define_flags()
  cli.main(_run, stopped="Stopped; nothing was written.")


def _run() -> None:
  picture_files.check(FLAGS.output, "--output")
  if not os.path.exists(FLAGS.input):
    raise MissingFileError(f"--input={FLAGS.input}: no such file.")
  try:
    field, notes = read(FLAGS.input, FLAGS.channel_order, FLAGS.audio_track)
  except clip_reading.MediaError as error:
    raise UserError(f"--input={FLAGS.input}: {error}.") from error
  angles = np.deg2rad([FLAGS.yaw_deg, FLAGS.pitch_deg, FLAGS.roll_deg]).astype(np.float32)
  field = ambisonics.rotate(field, directions.rotation(*angles)).numpy()
  parts = sound_field_picture.measure(field, _SAMPLE_RATE_HZ, FLAGS.num_parts)
  title = os.path.basename(FLAGS.input)
  if np.any(angles):
    title += (
      f", rotated by {FLAGS.yaw_deg:g}° (yaw), {FLAGS.pitch_deg:g}° (pitch), "
      f"{FLAGS.roll_deg:g}° (roll)"
    )
  sound_field_picture.draw(parts, title, FLAGS.output)
  for note in notes:
    print(f"Note: {note}.")
  print(sound_field_picture.table(parts))
  print(f"Image: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  local_paths.define_flag("input", None, "Audio or video file with first-order ambisonics.")
  local_paths.define_flag("output", "field.png", "Image file to write.")
  flags.DEFINE_enum(
    "channel_order", sound_field.ACN, sound_field.CHANNEL_ORDERS,
    "Channel order of files that do not state it."
  )
  flags.DEFINE_integer(
    "audio_track", None, "Number of the audio track, from 1; default: the first that can be "
    "ambisonics.", lower_bound=1
  )
  flags.DEFINE_integer("num_parts", 6, "Number of equal parts; one map per part.", 1)
  for name, what in (("yaw", "to the left"), ("pitch", "upwards"), ("roll", "left side up")):
    flags.DEFINE_float(f"{name}_deg", 0.0, f"Rotation of the recording in degrees, {what}.")
  flags.mark_flag_as_required("input")


if __name__ == "__main__":
  main()
