"""From a stored clip to what a model gets: windows, decoding, augmentation.

The sound's window lies anywhere in the clip, uniformly. The centre of the frames' window lies
within `ClipSpec.max_offset_sec` of the centre of the sound's, uniformly among the stored
frames, and inside the clip. Only the frames drawn are decoded. A clip shorter than a window
is an error: repeating its sound would teach rhythms that are not there. For its frames alone,
`ClipSpec.repeat_frames` allows it.

Of a clip of pictures alone the frames' window lies anywhere; what a clip does not have, an
example does not have either.
"""

from typing import Optional

import tensorflow as tf

from avssl_tf import types
from avssl_tf.data import audio_ops, draws, frame_ops
from avssl_tf.data.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.record_reader import StoredClip
from avssl_tf.types import Tensor

# Positions of a clip's random numbers in its vector of uniform draws.
_AUDIO_START, _VIDEO_START, _FLIP, _VOLUME = range(4)
_COLOR = slice(4, 8)
_CROP = slice(8, 8 + frame_ops.CROP_UNIFORMS)
NUM_UNIFORMS = _CROP.stop


def random_example(
  stored: StoredClip, clip: ClipSpec, augmentation: Optional[Augmentation], uniforms: Tensor
) -> types.Batch:
  """Draws windows of a clip and augments them.

  Args:
    stored: the clip.
    clip: what to take of it.
    augmentation: random changes; None takes the centre crop and changes nothing.
    uniforms: float64 `[NUM_UNIFORMS]`, uniform in [0, 1).

  Returns:
    `VIDEO`: frames, uint8 `[num_frames, frame_size, frame_size, 3]`, and `AUDIO`: waveform,
    float32 `[samples, channels]`, as far as they are stored.

  Raises:
    tf.errors.InvalidArgumentError: the clip is too short; the message names it.
  """
  last_audio, last_video = _last_starts(stored, clip)
  example = {}
  low, high = 0, last_video
  if last_audio is not None:
    audio_start = draws.uniform_integer(uniforms[_AUDIO_START], 0, last_audio)
    waveform = _cut_waveform(stored, clip, audio_start)
    if augmentation is not None:
      volume = _between(augmentation.volume, uniforms[_VOLUME])
      waveform = audio_ops.scale_volume(waveform, volume)
    example[types.AUDIO] = waveform
    if last_video is not None:
      low, high = _video_starts(stored, clip, audio_start, last_video, clip.max_offset_sec)
  if last_video is not None:
    video_start = draws.uniform_integer(uniforms[_VIDEO_START], low, high)
    encoded = _cut_frames(stored, clip, video_start)
    if augmentation is None:
      example[types.VIDEO] = _center(encoded, clip)
    else:
      example[types.VIDEO] = _augmented(encoded, clip, augmentation, uniforms)
  return example


def even_example(
  stored: StoredClip, clip: ClipSpec, window: Tensor, num_windows: int
) -> types.Batch:
  """Takes one of `num_windows` windows spread evenly over a clip, and the centre crop.

  Args:
    stored: the clip.
    clip: what to take of it.
    window: int64 scalar, number of the window in 0..num_windows - 1.
    num_windows: number of windows.

  Returns:
    As `random_example`.

  Raises:
    tf.errors.InvalidArgumentError: the clip is too short; the message names it.
  """
  last_audio, last_video = _last_starts(stored, clip)
  example = {}
  if last_audio is not None:
    audio_start = draws.even_start(window, num_windows, last_audio)
    example[types.AUDIO] = _cut_waveform(stored, clip, audio_start)
  if last_video is not None:
    if last_audio is None:
      video_start = draws.even_start(window, num_windows, last_video)
    else:
      video_start, _ = _video_starts(stored, clip, audio_start, last_video, max_offset_sec=0.0)
    example[types.VIDEO] = _center(_cut_frames(stored, clip, video_start), clip)
  return example


def _last_starts(
  stored: StoredClip, clip: ClipSpec
) -> tuple[Optional[Tensor], Optional[Tensor]]:
  """Last starts of windows inside the clip: a sample and a stored frame (int64 scalars).

  None for what is not stored.
  """
  names, found, wanted = [], [], []
  if stored.waveform is not None:
    names.append("samples")
    found.append(tf.shape(stored.waveform, tf.int64)[0])
    wanted.append(tf.constant(clip.num_samples(stored.sample_rate_hz), tf.int64))
  if stored.frames is not None:
    names.append("stored frames")
    num_frames = tf.shape(stored.frames, tf.int64)[0]
    wanted.append(_frame_offsets(stored, clip)[-1] + 1)
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
  return last.get("samples"), last.get("stored frames")


def _video_starts(
  stored: StoredClip, clip: ClipSpec, audio_start: Tensor, last: Tensor, max_offset_sec: float
) -> tuple[Tensor, Tensor]:
  """First and last stored frame that the frames' window may start at (int64 scalars)."""
  center_sec = tf.cast(audio_start, tf.float64) / stored.sample_rate_hz + clip.audio_sec / 2
  rate_hz = tf.cast(stored.frame_rate_hz, tf.float64)
  return draws.nearby_starts(center_sec, max_offset_sec, clip.video_sec, rate_hz, last)


def _frame_offsets(stored: StoredClip, clip: ClipSpec) -> Tensor:
  return draws.frame_offsets(clip.num_frames, clip.frame_rate_hz, stored.frame_rate_hz)


def _cut_waveform(stored: StoredClip, clip: ClipSpec, start: Tensor) -> Tensor:
  stored_rate_hz = stored.sample_rate_hz
  window = audio_ops.cut(stored.waveform, start, clip.num_samples(stored_rate_hz))
  rate_hz = clip.output_rate_hz(stored_rate_hz)
  if rate_hz == stored_rate_hz:
    return window
  return audio_ops.resample(window, stored_rate_hz, rate_hz, clip.num_samples(rate_hz))


def _cut_frames(stored: StoredClip, clip: ClipSpec, start: Tensor) -> list[Tensor]:
  places = start + _frame_offsets(stored, clip)
  if clip.repeat_frames:
    places %= tf.shape(stored.frames, tf.int64)[0]
  frames = tf.gather(stored.frames, places)
  return tf.unstack(frames, clip.num_frames)


def _center(encoded: list[Tensor], clip: ClipSpec) -> Tensor:
  height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(encoded[0]))
  box = frame_ops.center_crop_box(height, width)
  return frame_ops.to_uint8(frame_ops.decode_crop_resize(encoded, box, clip.frame_size))


def _augmented(
  encoded: list[Tensor], clip: ClipSpec, augmentation: Augmentation, uniforms: Tensor
) -> Tensor:
  height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(encoded[0]))
  box = frame_ops.random_crop_box(
    uniforms[_CROP], height, width, augmentation.crop_area, augmentation.crop_aspect
  )
  frames = frame_ops.decode_crop_resize(encoded, box, clip.frame_size)
  mirrored = uniforms[_FLIP] < augmentation.flip_probability
  frames = tf.cond(mirrored, lambda: frame_ops.mirror(frames), lambda: frames)
  spread = [getattr(augmentation, name) for name in ("brightness", "contrast", "saturation", "hue")]
  drawn = tf.cast(2 * uniforms[_COLOR] - 1, tf.float32) * spread
  brightness, contrast, saturation, hue = tf.unstack(drawn + [1.0, 1.0, 1.0, 0.0])
  frames = frame_ops.color_jitter(frames, brightness, contrast, saturation, hue)
  return frame_ops.to_uint8(frames)


def _between(bounds: tuple[float, float], uniform: Tensor) -> Tensor:
  low, high = bounds
  return low + (high - low) * uniform
