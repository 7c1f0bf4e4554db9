"""What `spatialize` is to do, and the streams of its input."""

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
  """What to do; each field is a flag of the command, with its meaning."""

  input: str = flag(
    "360° video with sound: mono, or more channels, which are mixed to mono."
  )
  outputs: Sequence[str] = flag(
    "File to write, once or twice: .wav for ambisonics (W Y Z X, SN3D), .mp4 for the 360° video "
    "with them.",
    (),
    name="output",
  )
  overlay: Optional[str] = flag(
    "Video (.mp4) to write, with a map of where sound comes from, and stereo.", None
  )
  projection: str = flag(
    "Of the pictures of --input: equirectangular (2:1), or equi-angular cubemaps (3:2).",
    EQUIRECTANGULAR,
    choices=picture_stream.PROJECTIONS,
  )
  overlay_height: int = flag("Maximum height of --overlay, in pixels.", 720, at_least=2)
  overwrite: bool = flag("Replace outputs that are there.", False)
  chunks_per_batch: int = flag("Chunks that the network sees at once.", 4, at_least=1)
  stereo_mode: str = flag(
    "Where two eyes are in the pictures of --input, of which the network sees the left one; auto: "
    "what the file says.",
    picture_view.AUTO,
    choices=picture_view.STEREO_MODES,
  )
  audio_track: Optional[int] = flag(
    "Number of the sound track to take, from 1; by default the one that the file marks so.",
    None,
    at_least=1,
  )

  @property
  def paths(self) -> list[str]:
    """All files to write."""
    return [*self.outputs, *([self.overlay] if self.overlay else [])]

  def check(self) -> None:
    """Makes sure, before all the work, that the files are what they have to be.

    Raises:
      UserError: one of them is not; the message names it.
    """
    if not self.paths:
      raise UserError("Nothing to write: name an --output (.wav or .mp4), an --overlay, or both.")
    if not os.path.exists(self.input):
      raise UserError(f"--input={self.input}: there is no such file.")
    for path in self.outputs:
      output_files.check("--output", path, (".wav", ".mp4"), self.input, self.overwrite)
    if self.overlay:
      output_files.check("--overlay", self.overlay, (".mp4",), self.input, self.overwrite)
    places = [os.path.realpath(path) for path in self.paths]
    for path, place in zip(self.paths, places):
      if places.count(place) > 1:
        raise UserError(f"{path} is named twice among --output and --overlay.")
    with media_errors_named(self.input):
      # Gaps are filled up: they must end.
      media_times.check(self.input)
      with self.open_pictures(), self.open_sound(media_writing.SOUND_RATE_HZ):
        pass

  def open_pictures(self) -> contextlib.AbstractContextManager[picture_stream.PictureStream]:
    """The pictures of the input."""
    return picture_stream.open_pictures(self.input, self.projection, self.stereo_mode)

  def open_sound(
    self, sample_rate_hz: int
  ) -> contextlib.AbstractContextManager[sound_stream.MonoStream]:
    """The sound of the input, as one channel."""
    return sound_stream.open_mono(self.input, sample_rate_hz, self.audio_track)
