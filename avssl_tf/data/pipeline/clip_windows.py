"""Windows of a stored clip: choosing and cutting its audio and frames.

The audio window is anywhere in the clip. The centre of the frame window is within
`ClipSpec.max_offset_sec` of the centre of the audio window, and both windows are inside the clip. A
clip shorter than a window is an error: repeating its audio would create rhythms that are not in the
recording. `ClipSpec.repeat_frames` allows repetition of frames only.
"""

from typing import NamedTuple, Optional

import tensorflow as tf

from avssl_tf.data.pipeline import audio_ops, draws
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.keys import Tensor


class Windows(NamedTuple):
  """Starts of the windows of a clip; None for a modality that is not stored.

  Attributes:
    audio_start: int64 scalar, a sample.
    video_start: int64 scalar, a stored frame.
  """

  audio_start: Optional[Tensor]
  video_start: Optional[Tensor]


def last_starts(stored: StoredClip, clip: ClipSpec) -> Windows:
  """Last starts of windows inside the clip.

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
  short = f"is too short. Number of {' and '.join(names)}:"
  remedy = ". Lower ClipSpec.audio_sec or num_frames, or build the data set without short clips."
  check = tf.debugging.Assert(
    tf.reduce_all(found >= wanted),
    ["Clip", stored.key, short, found, "; ClipSpec requires", wanted, remedy],
  )
  with tf.control_dependencies([check]):  # Reports this error before any other.
    last = dict(zip(names, tf.unstack(found - wanted, len(names))))
  return Windows(last.get("samples"), last.get("stored frames"))


def random_windows(
  stored: StoredClip, clip: ClipSpec, audio_uniform: Tensor, video_uniform: Tensor
) -> Windows:
  """Draws the audio window anywhere in the clip and the frame window near it.

  Args:
    stored: the clip.
    clip: parts of a clip to read.
    audio_uniform: float64 scalar in [0, 1), random number of the audio window.
    video_uniform: float64 scalar in [0, 1), random number of the frame window.

  Raises:
    tf.errors.InvalidArgumentError: see `last_starts`.
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
  """One of `num_windows` evenly spaced windows; frames and audio have the same centre.

  Args:
    stored: the clip.
    clip: parts of a clip to read.
    window: int64 scalar, number of the window in 0..num_windows - 1.
    num_windows: number of windows.

  Raises:
    tf.errors.InvalidArgumentError: see `last_starts`.
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
  """First and last stored frame at which the frame window may start (int64 scalars)."""
  center_sec = tf.cast(audio_start, tf.float64) / stored.sample_rate_hz + clip.audio_sec / 2
  rate_hz = tf.cast(stored.frame_rate_hz, tf.float64)
  return draws.nearby_starts(center_sec, max_offset_sec, clip.video_sec, rate_hz, last)


def frame_offsets(stored: StoredClip, clip: ClipSpec) -> Tensor:
  """Positions of the frames of a window, in stored frames relative to the first; int64."""
  return draws.frame_offsets(clip.num_frames, clip.frame_rate_hz, stored.frame_rate_hz)


def cut_waveform(stored: StoredClip, clip: ClipSpec, start: Tensor) -> Tensor:
  """The audio window that starts at a sample, resampled: float32 `[samples, channels]`."""
  stored_rate_hz = stored.sample_rate_hz
  window = audio_ops.cut(stored.waveform, start, clip.num_samples(stored_rate_hz))
  rate_hz = clip.output_rate_hz(stored_rate_hz)
  if rate_hz == stored_rate_hz:
    return window
  return audio_ops.resample(window, stored_rate_hz, rate_hz, clip.num_samples(rate_hz))


def take_frames(frames: Tensor, clip: ClipSpec, places: Tensor) -> list[Tensor]:
  """The encoded stored frames at `places`, int64 `[num_frames]`, as string scalars."""
  return tf.unstack(take_steps(frames, clip, places), clip.num_frames)


def take_steps(steps: Tensor, clip: ClipSpec, places: Tensor) -> Tensor:
  """The steps at `places` of a sequence with one step per stored frame."""
  if clip.repeat_frames:
    places %= tf.shape(steps, tf.int64)[0]
  return tf.gather(steps, places)
