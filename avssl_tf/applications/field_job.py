"""The job of `spatialize`, and the streams of its input."""

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from typing import Optional

from avssl_tf.applications import output_files
from avssl_tf.applications.input_files import media_errors_named
from avssl_tf.data.clip_content import EQUIRECTANGULAR
from avssl_tf.data.media import (
  media_times,
  media_writing,
  picture_stream,
  picture_view,
  sound_stream,
)
from avssl_tf.errors import UserError
from avssl_tf.job_flags import flag


@dataclasses.dataclass(frozen=True)
class Job:
  """A spatialisation job; each field is a flag of the command."""

  input: str = flag(
    "360° video with mono audio; more channels are mixed to mono."
  )
  outputs: Sequence[str] = flag(
    "Output file; may be repeated: .wav for ambisonics (W Y Z X, SN3D), .mp4 for the 360° video "
    "with ambisonics.",
    (),
    name="output",
  )
  overlay: Optional[str] = flag(
    "Output video (.mp4) with an energy map of the sound field over the frames, and stereo audio.",
    None,
  )
  projection: str = flag(
    "Projection of the frames of --input: equirectangular (2:1) or equi-angular cubemap (3:2).",
    EQUIRECTANGULAR,
    choices=picture_stream.PROJECTIONS,
  )
  overlay_height: int = flag("Maximum height of --overlay, in pixels.", 720, at_least=2)
  overwrite: bool = flag("Replace existing outputs.", False)
  chunks_per_batch: int = flag("Chunks per batch.", 4, at_least=1)
  stereo_mode: str = flag(
    "Arrangement of the two eyes in the frames of --input; the network uses the left one; auto: "
    "from the metadata of the file.",
    picture_view.AUTO,
    choices=picture_view.STEREO_MODES,
  )
  audio_track: Optional[int] = flag(
    "Number of the audio track to read, from 1; default: the default track of the file.",
    None,
    at_least=1,
  )

  @property
  def paths(self) -> list[str]:
    """All files to write."""
    return [*self.outputs, *([self.overlay] if self.overlay else [])]

  def check(self) -> None:
    """Validates the flags and the input before any work is done.

    Raises:
      UserError: one of them is invalid; the message states which one.
    """
    if not self.paths:
      raise UserError("Nothing to write: pass --output (.wav or .mp4), --overlay, or both.")
    if not os.path.exists(self.input):
      raise UserError(f"--input={self.input}: no such file.")
    for path in self.outputs:
      output_files.check("--output", path, (".wav", ".mp4"), self.input, self.overwrite)
    if self.overlay:
      output_files.check("--overlay", self.overlay, (".mp4",), self.input, self.overwrite)
    places = [os.path.realpath(path) for path in self.paths]
    for path, place in zip(self.paths, places):
      if places.count(place) > 1:
        raise UserError(f"{path} occurs twice in --output and --overlay.")
    with media_errors_named(self.input):
      # Gaps are filled: their length must be limited.
      media_times.check(self.input)
      with self.open_pictures(), self.open_sound(media_writing.SOUND_RATE_HZ):
        pass

  def open_pictures(self) -> contextlib.AbstractContextManager[picture_stream.PictureStream]:
    """Opens the video of the input."""
    return picture_stream.open_pictures(self.input, self.projection, self.stereo_mode)

  def open_sound(
    self, sample_rate_hz: int
  ) -> contextlib.AbstractContextManager[sound_stream.MonoStream]:
    """Opens the audio of the input, as mono."""

    return sound_stream.open_mono(self.input, sample_rate_hz, self.audio_track)
