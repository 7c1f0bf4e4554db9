"""Sound source localisation in ordinary videos with a trained network.

First the maps of all windows are computed and stored in an anonymous temporary file. Then they are
drawn over the frames, because the colour scale depends on the similarities in the whole video.
"""

import dataclasses
import itertools
import math
import os
from collections.abc import Iterator
from typing import Optional

import av
import cv2
import numpy as np
import tensorflow as tf

from avssl_tf import progress
from avssl_tf.applications import output_files
from avssl_tf.applications.heat_overlay import HeatOverlay
from avssl_tf.applications.input_files import media_errors_named
from avssl_tf.applications.map_file import MapFile
from avssl_tf.applications.picture_squares import PictureSquares
from avssl_tf.applications.sample_windows import SampleWindows
from avssl_tf.data.media import (
  media_copying,
  media_streams,
  media_times,
  media_writing,
  picture_stream,
  sound_stream,
)
from avssl_tf.errors import UserError
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.sound_localizer import HORIZONTAL, VERTICAL, SoundLocalizer
from avssl_tf.job_flags import flag
from avssl_tf.keys import AUDIO

# Maps with fewer positions per side are too coarse: the network is then applied in sliding windows.
_LEAST_POSITIONS = 4
_WINDOWS = 5
# A frame held for longer is repeated with new maps.
_HELD_SEC = 0.5
# Up to this peak, audio is silent and no map is drawn.
_SILENCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Job:
  """A localisation job; each field is a flag of the command."""

  input: str = flag("Video with audio, of any length and shape.")
  output: str = flag(
    "Output video (.mp4) with a heat map of the sound sources over the frames, and the audio."
  )
  overwrite: bool = flag("Replace an existing --output.", False)
  output_height: int = flag("Maximum height of --output, in pixels.", 720, at_least=2)
  windows_per_batch: int = flag("Windows per batch.", 4, at_least=1)
  audio_track: Optional[int] = flag(
    "Number of the audio track to read, from 1; default: the default track of the file.",
    None,
    at_least=1,
  )

  def check(self) -> None:
    """Validates the flags and the input before any work is done.

    Raises:
      UserError: one of them is invalid; the message states which one.
    """
    if not os.path.exists(self.input):
      raise UserError(f"--input={self.input}: no such file.")
    output_files.check("--output", self.output, (".mp4",), self.input, self.overwrite)
    with media_errors_named(self.input):
      # Gaps are filled: their length must be limited.
      media_times.check(self.input)
      with picture_stream.open_pictures(self.input, projection=None):
        pass
      with sound_stream.open_mono(
        self.input, media_writing.SOUND_RATE_HZ, self.audio_track
      ):
        pass


def run(encoder: Encoder, job: Job) -> list[str]:
  """Writes a video with a heat map of its sound sources over the frames.

  Args:
    encoder: the network.
    job: the job; its `check` has passed.

  Returns:
    A description of the output and remarks, as lines for the user.

  Raises:
    UserError: the input cannot be read to its end, the network does not support its audio, or the
      output cannot be written.
  """
  stopwatch = progress.Stopwatch()
  folder = os.path.dirname(os.path.abspath(job.output))
  with output_files.all_or_none([job.output]) as temporary, media_errors_named(job.input):
    with picture_stream.open_pictures(job.input, projection=None) as pictures:
      first_sec = pictures.start_sec + encoder.clip.video_sec / 2
    step_sec = _hop(encoder) / encoder.clip.frame_rate_hz
    with MapFile(folder, first_sec, step_sec) as maps:
      lines, sound_end_sec = _make_maps(encoder, job, maps)
      with output_files.errors_named(job.output):
        written, duration_sec = _write(job, maps, sound_end_sec, temporary[job.output])
  seconds = stopwatch.seconds
  speed = duration_sec / seconds
  lines += [written, f"{duration_sec:.1f} s in {seconds:.1f} s: {speed:.1f} times real time."]
  return lines


def _hop(encoder: Encoder) -> int:
  """Frames between the starts of consecutive windows, which overlap by half."""
  return max(1, encoder.clip.num_frames // 2)


def _make_maps(encoder: Encoder, job: Job, maps: MapFile) -> tuple[list[str], float]:
  """Computes the maps of all windows; returns remarks for the user and the end of the audio."""
  clip, size = encoder.clip, encoder.clip.frame_size
  localizer = SoundLocalizer(encoder)
  if min(localizer.own_map_size) < _LEAST_POSITIONS:
    localizer = SoundLocalizer(encoder, _WINDOWS, (HORIZONTAL, VERTICAL))
  with sound_stream.open_mono(
    job.input, encoder.sample_rate_hz, job.audio_track
  ) as sound, picture_stream.open_pictures(job.input, projection=None) as pictures:
    squares = PictureSquares(pictures.height, pictures.width, size)
    grid = picture_stream.PictureGrid(
      pictures.frames(),
      lambda frame: squares.cut(pictures.to_rgb(frame, *squares.scaled)),
      # Frames are sampled at the middle of equal time intervals.
      pictures.start_sec + 0.5 / clip.frame_rate_hz,
      clip.frame_rate_hz,
    )
    samples = SampleWindows(sound.blocks())
    with progress.Bar.of_seconds("maps", pictures.estimated_duration_sec) as bar:
      for batch in _batches(_windows(encoder, grid, samples, maps, sound), job.windows_per_batch):
        with output_files.errors_named(f"A temporary file next to {job.output}"):
          for values, audible in _maps_of(localizer, squares, batch, job.windows_per_batch):
            maps.append(values, audible)
        bar.reach(maps.count * maps.step_sec)
    sound_end_sec = sound.start_sec + sound.num_samples / encoder.sample_rate_hz
    return _notes(localizer, squares, sound, pictures), sound_end_sec


def _windows(
  encoder: Encoder,
  grid: picture_stream.PictureGrid,
  samples: SampleWindows,
  maps: MapFile,
  sound: sound_stream.MonoStream,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Frames, uint8 `[T, squares, size, size, 3]`, and audio, float32 `[samples]`, of all windows.

  Frames and audio have the same midpoint. The windows cover both streams to their ends; the last
  frame is held while there is audio.
  """
  clip, rate_hz = encoder.clip, encoder.sample_rate_hz
  count, ended = clip.num_samples(rate_hz), False
  for number in itertools.count():
    if ended:
      return
    frames = grid.take(number * _hop(encoder), clip.num_frames)
    middle_sec = maps.first_sec + number * maps.step_sec - sound.start_sec
    yield frames, samples.take(round((middle_sec - clip.audio_sec / 2) * rate_hz), count)
    ended = grid.ended and samples.ended


def _batches(items: Iterator, count: int) -> Iterator[list]:
  while batch := list(itertools.islice(items, count)):
    yield batch


def _maps_of(
  localizer: SoundLocalizer,
  squares: PictureSquares,
  windows: list[tuple[np.ndarray, np.ndarray]],
  windows_per_batch: int,
) -> Iterator[tuple[np.ndarray, bool]]:
  """The map of each window, float32 `[h, w]`, and whether its audio is audible."""
  # The number of windows is constant: another number would retrace the network.
  padded = [*windows, *[windows[-1]] * (windows_per_batch - len(windows))]
  frames = np.concatenate([np.swapaxes(shown, 0, 1) for shown, _ in padded])
  sound = np.repeat([heard for _, heard in padded], squares.count, axis=0)[..., np.newaxis]
  found = localizer.maps(tf.constant(frames), tf.constant(sound)).numpy()
  for number, (_, heard) in enumerate(windows):
    of_window = found[number * squares.count :][: squares.count]
    yield squares.join(of_window), bool(np.abs(heard).max() > _SILENCE)


def _notes(
  localizer: SoundLocalizer,
  squares: PictureSquares,
  sound: sound_stream.MonoStream,
  pictures: picture_stream.PictureStream,
) -> list[str]:
  notes = [
    f"Audio input: {sound.made_from}.",
    *(f"Note: {note}." for note in pictures.view.notes),
  ]
  if localizer.encoder.translate is not None:
    notes.append(
      "The network was trained on 360° video: the frames are treated as a view with the sound "
      "straight ahead, and compared with the visual embedding predicted from the audio."
    )
  if squares.count > 1:
    notes.append(
      f"The frames are split into {squares.count} overlapping squares along the longer side."
    )
  if sound.num_damaged:
    notes.append(f"Damaged: {sound.num_damaged} part(s) of the audio, replaced by silence.")
  if pictures.num_damaged:
    notes.append(
      f"Damaged: {pictures.num_damaged} frame(s), each replaced by the previous frame."
    )
  if sound.shortfall_sec():
    notes.append(
      f"Truncated: the audio ends {sound.shortfall_sec():.1f} s before the end that the file "
      "states."
    )
  return notes


def _write(
  job: Job, maps: MapFile, sound_end_sec: float, temporary: str
) -> tuple[str, float]:
  """Writes the output; returns a line for the user and the duration in seconds."""
  end_sec = 0.0
  with picture_stream.open_pictures(
    job.input, projection=None
  ) as pictures, media_streams.open_streams(
    job.input, (AUDIO,), job.audio_track
  ) as media, sound_stream.open_mono(
    job.input, media_writing.SOUND_RATE_HZ, job.audio_track
  ) as decoded, progress.Bar.of_seconds(
    os.path.basename(job.output), pictures.estimated_duration_sec
  ) as bar:
    height = max(2, min(pictures.height, job.output_height) // 2 * 2)
    width = max(2, round(height * pictures.width / pictures.height / 2) * 2)
    origin_sec = min(decoded.start_sec, pictures.start_sec)
    overlay = HeatOverlay()

    def frames() -> Iterator[tuple[float, np.ndarray]]:
      nonlocal end_sec
      for time_sec, frame in _often(pictures.frames(), maps.step_sec, sound_end_sec):
        heat = cv2.resize(maps.heat(time_sec), (width, height), interpolation=cv2.INTER_LINEAR)
        yield time_sec - origin_sec, overlay.draw(pictures.to_rgb(frame, height, width), heat)
        end_sec = time_sec - origin_sec + 1.0 / pictures.rate_hz
        bar.reach(end_sec)

    codec = media.audio.codec_context.name
    copied = media_copying.can_copy(job.input, AUDIO, job.audio_track)
    if copied:
      sound = media_copying.CopiedSound(media, origin_sec)
    else:
      sound = _encoded_sound(decoded, origin_sec)
    with open(temporary, "w+b") as file:
      media_writing.write_encoded_mp4(file, frames(), (height, width), pictures.rate_hz, sound)
  how = f"audio copied ({codec})" if copied else f"audio re-encoded as AAC (from {codec})"
  line = f"Wrote {job.output}: heat map of the sound sources over the frames, {width}x{height}, "
  return line + f"with {how}.", end_sec


def _often(
  frames: Iterator[tuple[float, av.VideoFrame]], step_sec: float, end_sec: float
) -> Iterator[tuple[float, av.VideoFrame]]:
  """Frames with their times; held frames are repeated every `step_sec` until `end_sec`.

  The maps drawn over a frame change while it is held.
  """
  shown_sec, shown = 0.0, None
  for time_sec, frame in itertools.chain(frames, [(end_sec, None)]):
    if shown is not None and time_sec - shown_sec > _HELD_SEC:
      for number in range(1, math.ceil((time_sec - shown_sec) / step_sec)):
        yield shown_sec + number * step_sec, shown
    if frame is not None:
      yield time_sec, frame
    shown_sec, shown = time_sec, frame


def _encoded_sound(decoded: sound_stream.MonoStream, origin_sec: float) -> media_writing.Sound:
  """The audio to encode: all channels, a stereo mix or the mono input, as AAC supports them."""
  start_sec = decoded.start_sec - origin_sec
  layout = decoded.stored_layout
  encoded = media_writing.aac_layout(layout)
  if encoded is None:
    blocks = (block[:, np.newaxis] for block in decoded.blocks())
    return media_writing.Sound(blocks, media_writing.SOUND_RATE_HZ, "mono", start_sec)
  return media_writing.Sound(
    decoded.stored_blocks(), decoded.stored_rate_hz, layout, start_sec, encoded
  )
