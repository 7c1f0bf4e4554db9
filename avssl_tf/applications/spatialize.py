"""Spatial sound for a 360° video with mono or stereo sound.

A trained network generates a first-order sound field from the pictures and the sound. First all of
the field is made, into a file without a name; then the outputs are written, as each needs to know
the peak of the whole so that nothing is clipped.
"""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Optional

import numpy as np

from avssl_tf import keys, progress
from avssl_tf.applications import output_files
from avssl_tf.applications.energy_overlay import WINDOW_SEC, EnergyOverlay
from avssl_tf.applications.field_file import FieldFile, fold_down
from avssl_tf.applications.field_generation import FieldGeneration
from avssl_tf.data.clip_content import EQUIRECTANGULAR
from avssl_tf.data.media import (
  media_copying,
  media_streams,
  media_times,
  media_writing,
  picture_stream,
  picture_view,
  sound_stream,
)
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.data.metadata import spatial_media, spherical_metadata
from avssl_tf.errors import UserError
from avssl_tf.inference.generator import Generator
from avssl_tf.job_flags import flag

# Finer than for a picture to look at once: this one may be encoded again by whoever shows it.
_OUTPUT_CRF = 17
# Frames of 8192 x 4096 are about the largest of any level of H.264 (6.2), and encoding larger ones
# takes gigabytes.
_MAX_OUTPUT_HEIGHT = 4096


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
    with self.errors_named():
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

  @contextlib.contextmanager
  def errors_named(self) -> Iterator[None]:
    """Makes errors of reading name the input."""
    try:
      yield
    except MediaError as error:
      raise UserError(f"--input={self.input}: {error}.") from error


def run(generator: Generator, job: Job) -> list[str]:
  """Generates the sound field of a video and writes what is asked for.

  Args:
    generator: the network.
    job: what to do; its `check` has passed.

  Returns:
    What was written and what there is to know about it, lines for the user.

  Raises:
    UserError: the input cannot be read to its end.
    UserError: an output cannot be written.
  """
  stopwatch = progress.Stopwatch()
  folder = os.path.dirname(os.path.abspath(job.paths[0]))
  with output_files.all_or_none(job.paths) as temporary, FieldFile(
    folder, generator.sample_rate_hz
  ) as field:
    with job.errors_named():
      video = _generate(generator, job, field)
      lines = [*video.notes]
      for path in job.paths:
        with output_files.errors_named(path):
          if path == job.overlay:
            lines.append(_write_overlay(job, video, field, path, temporary[path]))
          elif path.lower().endswith(".wav"):
            lines.append(_write_wav(field, path, temporary[path]))
          else:
            lines.append(_write_mp4(job, video, field, path, temporary[path]))
  seconds = stopwatch.seconds
  speed = field.duration_sec / seconds
  lines.append(f"{field.duration_sec:.1f} s in {seconds:.1f} s: {speed:.1f} times real time.")
  return lines


@dataclasses.dataclass(frozen=True)
class _Video:
  """What is known of the input once it is read.

  Attributes:
    origin_sec: time on its time line that becomes 0 in videos written: whichever of pictures and
      sound comes first.
    sound_start_sec: of the sound, counted from there.
    notes: what the user should know.
  """

  origin_sec: float
  sound_start_sec: float
  notes: Sequence[str]


def _generate(generator: Generator, job: Job, field: FieldFile) -> _Video:
  """Writes the field of all of the input's sound into `field`."""
  clip = generator.clip
  with job.open_sound(generator.sample_rate_hz) as sound, job.open_pictures() as pictures:
    grid = picture_stream.PictureGrid(
      pictures.frames(),
      lambda frame: pictures.to_equirect(frame, clip.frame_size),
      # Frames stand for even parts of the time of the sound: they are taken in the middles.
      sound.start_sec + 0.5 / clip.frame_rate_hz,
      clip.frame_rate_hz,
    )
    generation = FieldGeneration(generator, job.chunks_per_batch)
    end_sec = sound.estimated_end_sec
    with progress.Bar.of_seconds("sound field", end_sec and end_sec - sound.start_sec) as bar:
      for block in generation.field(sound.blocks(), grid):
        with output_files.errors_named(f"A temporary file beside {job.paths[0]}"):
          field.append(block)
        bar.reach(field.duration_sec)
    if not field.num_samples:
      raise MediaError("truncated or damaged: its sound holds no samples")
    origin_sec = min(sound.start_sec, pictures.start_sec)
    return _Video(origin_sec, sound.start_sec - origin_sec, _notes(sound, pictures))


def _notes(
  sound: sound_stream.MonoStream, pictures: picture_stream.PictureStream
) -> list[str]:
  notes = [f"W is made from {sound.made_from}.", *(f"Note: {n}." for n in pictures.view.notes)]
  if sound.num_damaged:
    notes.append(f"Damaged: {sound.num_damaged} part(s) of the sound; there is silence instead.")
  if sound.gap_sec:
    notes.append(f"The sound has gaps, {sound.gap_sec:.2f} s in all; they are silent.")
  if pictures.num_damaged:
    notes.append(
      f"Damaged: {pictures.num_damaged} picture(s); those before them were looked at instead."
    )
  if sound.shortfall_sec():
    notes.append(
      f"Truncated: the sound ends {sound.shortfall_sec():.1f} s before the end that the file "
      "announces; what follows is left out."
    )
  return notes


def _write_wav(field: FieldFile, path: str, temporary: str) -> str:
  with open(temporary, "wb") as file:
    media_writing.write_wav(file, field.blocks(), field.sample_rate_hz)
  peak_db = 20.0 * np.log10(max(field.peak, 1e-6))
  return (
    f"Wrote {path}: ambisonics W Y Z X (ACN, SN3D), {field.sample_rate_hz} Hz, 32-bit "
    f"floating-point numbers, not scaled (peak {peak_db:+.1f} dB)."
  )


def _write_mp4(job: Job, video: _Video, field: FieldFile, path: str, temporary: str) -> str:
  folder = os.path.dirname(os.path.abspath(path))
  # Metadata comes last, into a copy.
  with tempfile.TemporaryFile(dir=folder) as unmarked, progress.Bar.of_seconds(
    os.path.basename(path), field.duration_sec
  ) as bar:
    sound = media_writing.Sound(
      _scaled(field, field.gain, bar),
      field.sample_rate_hz,
      media_writing.AMBISONIC_LAYOUT,
      video.sound_start_sec,
    )
    with job.open_pictures() as pictures:
      codec = pictures.codec
      copied = pictures.can_be_copied and media_copying.can_copy(job.input, keys.VIDEO)
      # Pictures that are encoded again show the left eye alone.
      packing = pictures.view.packing if copied else spherical_metadata.MONO
      if not copied:
        height = min(pictures.height, _MAX_OUTPUT_HEIGHT) // 2 * 2
        media_writing.write_encoded_mp4(
          unmarked,
          _equirect_frames(pictures, height, video.origin_sec),
          (height, 2 * height),
          pictures.rate_hz,
          sound,
          _OUTPUT_CRF,
        )
    if copied:
      with media_streams.open_streams(job.input, (keys.VIDEO,)) as media:
        media_writing.write_copied_mp4(unmarked, media, video.origin_sec, sound)
    with open(temporary, "wb") as file:
      spatial_media.mark(unmarked, file, packing)
  eyes = "" if packing == spherical_metadata.MONO else f" with both eyes ({packing})"
  how = f"its pictures as they were ({codec})" if copied else "its pictures encoded again as H.264"
  return (
    f"Wrote {path}: {how}{eyes}, ambisonics W Y Z X (ACN, SN3D) in AAC{_lowered(field.gain)}, and "
    "the marks of 360° video and spatial audio."
  )


def _write_overlay(job: Job, video: _Video, field: FieldFile, path: str, temporary: str) -> str:
  with job.open_pictures() as pictures, progress.Bar.of_seconds(
    os.path.basename(path), field.duration_sec
  ) as bar:
    height = min(pictures.height, job.overlay_height, _MAX_OUTPUT_HEIGHT) // 2 * 2
    overlay = EnergyOverlay(field.peak)

    def frames() -> Iterator[tuple[float, np.ndarray]]:
      rate_hz = field.sample_rate_hz
      for time_sec, frame in _equirect_frames(pictures, height, video.origin_sec):
        middle_sec = time_sec - video.sound_start_sec
        start, stop = (round((middle_sec + s * WINDOW_SEC / 2) * rate_hz) for s in (-1, 1))
        yield time_sec, overlay.draw(frame, field.read(start, stop))

    sound = media_writing.Sound(
      (fold_down(block) for block in _scaled(field, field.stereo_gain, bar)),
      field.sample_rate_hz,
      "stereo",
      video.sound_start_sec,
    )
    with open(temporary, "w+b") as file:
      media_writing.write_encoded_mp4(
        file, frames(), (height, 2 * height), pictures.rate_hz, sound
      )
  return (
    f"Wrote {path}: where sound comes from drawn over the frames, {2 * height}x{height}, and "
    f"stereo of it{_lowered(field.stereo_gain)}."
  )


def _equirect_frames(
  pictures: picture_stream.PictureStream, height: int, origin_sec: float
) -> Iterator[tuple[float, np.ndarray]]:
  for time_sec, frame in pictures.frames():
    yield time_sec - origin_sec, pictures.to_equirect(frame, height)


def _scaled(field: FieldFile, gain: float, bar: progress.Bar) -> Iterator[np.ndarray]:
  done = 0
  for block in field.blocks():
    yield gain * block
    done += len(block)
    bar.reach(done / field.sample_rate_hz)


def _lowered(gain: float) -> str:
  if gain == 1.0:
    return ""
  return f" ({-20.0 * np.log10(gain):.1f} dB lower, so that nothing is clipped)"
