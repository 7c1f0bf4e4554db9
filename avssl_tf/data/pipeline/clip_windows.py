"""Windows of a stored clip: where its sound and its frames are cut, and cutting them.

The sound's window is anywhere in the clip. The centre of the frames' window is within
`ClipSpec.max_offset_sec` of the centre of the sound's, and the window inside the clip. A clip
shorter than a window is an error: repeating its sound would teach rhythms that are not there. For
its frames alone, `ClipSpec.repeat_frames` allows it.
"""

from typing import NamedTuple, Optional

import tensorflow as tf

from avssl_tf.data.pipeline import audio_ops, draws
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.keys import Tensor


class Windows(NamedTuple):
  """Where the windows of a clip start; None for a modality that is not stored.

  Attributes:
    audio_start: int64 scalar, a sample.
    video_start: int64 scalar, a stored frame.
  """

  audio_start: Optional[Tensor]
  video_start: Optional[Tensor]


def last_starts(stored: StoredClip, clip: ClipSpec) -> Windows:
  """The last starts of windows inside the clip.

  Raises:
    tf.errors.InvalidArgumentError: the clip is too short; the message names it.
  """
  names, found, wanted = [], [], []
  if stored.waveform is not None:
    names.append("samples")
    found.append(tf.shape(stored.waveform, tf.int64)[0])
    wanted.append(tf.constant(clip.num_samples(stored.sample_rate_hz), tf.int64))
  if stored.frames is not None:
    names.append("stored frames")
    num_frames = tf.shape(stored.frames, tf.int64)[0]
    wanted.append(frame_offsets(stored, clip)[-1] + 1)
    found.append(tf.maximum(num_frames, wanted[-1]) if clip.repeat_frames else num_frames)
  found, wanted = tf.stack(found), tf.stack(wanted)
  short = f"is too short. It has this many {' and '.join(names)}:"
  remedy = ". Lower ClipSpec.audio_sec or num_frames, or build the data set without short clips."
  check = tf.debugging.Assert(
    tf.reduce_all(found >= wanted),
    ["Clip", stored.key, short, found, "; ClipSpec asks for windows of", wanted, remedy],
  )
  with tf.control_dependencies([check]):  # This message shall come before any other.
    last = dict(zip(names, tf.unstack(found - wanted, len(names))))
  return Windows(last.get("samples"), last.get("stored frames"))


def random_windows(
  stored: StoredClip, clip: ClipSpec, audio_uniform: Tensor, video_uniform: Tensor
) -> Windows:
  """Draws windows: the sound's anywhere, the frames' near it.

  Args:
    stored: the clip.
    clip: what to take of it.
    audio_uniform: float64 scalar in [0, 1), the random number of the sound's window.
    video_uniform: the same of the frames' window.

  Raises:
    tf.errors.InvalidArgumentError: as `last_starts`.
  """
  last = last_starts(stored, clip)
  audio_start = video_start = None
  if last.audio_start is not None:
    audio_start = draws.uniform_integer(audio_uniform, 0, last.audio_start)
  if last.video_start is not None:
    low, high = 0, last.video_start
    if audio_start is not None:
      low, high = _near_sound(stored, clip, audio_start, last.video_start, clip.max_offset_sec)
    video_start = draws.uniform_integer(video_uniform, low, high)
  return Windows(audio_start, video_start)


def even_windows(
  stored: StoredClip, clip: ClipSpec, window: Tensor, num_windows: int
) -> Windows:
  """One of `num_windows` windows spread evenly; the frames' centre is that of the sound.

  Args:
    stored: the clip.
    clip: what to take of it.
    window: int64 scalar, number of the window in 0..num_windows - 1.
    num_windows: number of windows.

  Raises:
    tf.errors.InvalidArgumentError: as `last_starts`.
  """
  last = last_starts(stored, clip)
  audio_start = video_start = None
  if last.audio_start is not None:
    audio_start = draws.even_start(window, num_windows, last.audio_start)
  if last.video_start is not None:
    if audio_start is None:
      video_start = draws.even_start(window, num_windows, last.video_start)
    else:
      video_start, _ = _near_sound(stored, clip, audio_start, last.video_start, 0.0)
  return Windows(audio_start, video_start)


def _near_sound(
  stored: StoredClip, clip: ClipSpec, audio_start: Tensor, last: Tensor, max_offset_sec: float
) -> tuple[Tensor, Tensor]:
  """First and last stored frame that the frames' window may start at (int64 scalars)."""
  center_sec = tf.cast(audio_start, tf.float64) / stored.sample_rate_hz + clip.audio_sec / 2
  rate_hz = tf.cast(stored.frame_rate_hz, tf.float64)
  return draws.nearby_starts(center_sec, max_offset_sec, clip.video_sec, rate_hz, last)


def frame_offsets(stored: StoredClip, clip: ClipSpec) -> Tensor:
  """Positions of the frames of a window, in stored frames from its first one; int64."""
  return draws.frame_offsets(clip.num_frames, clip.frame_rate_hz, stored.frame_rate_hz)


def cut_waveform(stored: StoredClip, clip: ClipSpec, start: Tensor) -> Tensor:
  """The sound from a sample on, at the rate wanted: float32 `[samples, channels]`."""
  stored_rate_hz = stored.sample_rate_hz
  window = audio_ops.cut(stored.waveform, start, clip.num_samples(stored_rate_hz))
  rate_hz = clip.output_rate_hz(stored_rate_hz)
  if rate_hz == stored_rate_hz:
    return window
  return audio_ops.resample(window, stored_rate_hz, rate_hz, clip.num_samples(rate_hz))


def take_frames(frames: Tensor, clip: ClipSpec, places: Tensor) -> list[Tensor]:
  """The stored frames at `places`, int64 `[num_frames]`, each encoded, as string scalars."""
  return tf.unstack(take_steps(frames, clip, places), clip.num_frames)


def take_steps(steps: Tensor, clip: ClipSpec, places: Tensor) -> Tensor:
  """The steps at `places` of a sequence with one step per stored frame."""
  if clip.repeat_frames:
    places %= tf.shape(steps, tf.int64)[0]
  return tf.gather(steps, places)
