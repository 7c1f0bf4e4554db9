"""From a stored clip to what a model gets: windows, decoding, augmentation.

The sound's window lies anywhere in the clip, uniformly. The centre of the frames' window lies
within `ClipSpec.max_offset_sec` of the centre of the sound's, uniformly among the stored
frames, and inside the clip. Only the frames drawn are decoded. A clip shorter than a window
is an error: repeating its sound would teach rhythms that are not there. For its frames alone,
`ClipSpec.repeat_frames` allows it.

Of a clip of pictures alone the frames' window lies anywhere; what a clip does not have, an
example does not have either. Of a 360° clip, viewpoints are drawn, and what is seen and heard from
each of them takes the place of the whole. Of a panorama, the frames' window is drawn, and the sound
is exactly that around the middle of their times.
"""

from collections.abc import Sequence
from typing import Optional, Union

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import (
  audio_ops,
  clip_views,
  draws,
  frame_ops,
  panoramas,
  source_tracks,
  viewpoints,
)
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.keys import Tensor

# Positions of a clip's random numbers in its vector of uniform draws.
_AUDIO_START, _VIDEO_START, _FLIP, _VOLUME = range(4)
_NUM_COLORS = 4
_COLOR = slice(4, 4 + _NUM_COLORS)
_CROP = slice(_COLOR.stop, _COLOR.stop + frame_ops.CROP_UNIFORMS)
_YAW = _CROP.stop
# Those of colours of views of their own come after them.
_VIEWPOINTS = slice(_YAW + 1, None)


def num_uniforms(clip: ClipSpec, augmentation: Optional[Augmentation] = None) -> int:
  """Random numbers that `random_example` takes."""
  if clip.viewpoints is None:
    return _CROP.stop + int(clip.panorama)
  own_colors = augmentation is not None and augmentation.color_each_view
  of_colors = clip.viewpoints.num_viewpoints * _NUM_COLORS if own_colors else 0
  return _VIEWPOINTS.start + clip.viewpoints.num_uniforms + of_colors


def random_example(
  stored: StoredClip,
  clip: ClipSpec,
  augmentation: Optional[Augmentation],
  uniforms: Tensor,
  turn_sound: bool = False,
) -> keys.Batch:
  """Draws windows of a clip and augments them.

  Args:
    stored: the clip.
    clip: what to take of it.
    augmentation: random changes; None takes the centre crop and changes nothing.
    uniforms: float64 `[num_uniforms(clip, augmentation)]`, uniform in [0, 1).
    turn_sound: of 360° clips, whether the sound is turned out of line with the picture, whatever
      the augmentation says.

  Returns:
    `VIDEO`: frames, uint8 `[num_frames, frame_size, frame_size, 3]`, and `AUDIO`: waveform,
    float32 `[samples, channels]`, as far as they are stored. With viewpoints, both have an axis
    of K before the others, and there are `DIRECTION` and `FIELD_OF_VIEW`, float32 `[K, 2]`, and
    `VIEW_LABEL`, int64 `[K]`. Frames of a panorama are `[num_frames, frame_size, 2 * frame_size,
    3]`, and there are `FLOW`, if it is asked for, uint8 of the same shape, and `CHANNELS`, bool
    `[channels]`.

  Raises:
    tf.errors.InvalidArgumentError: the clip is too short; the message names it.
  """
  last_audio, last_video = _last_starts(stored, clip)
  example, views, columns = {}, None, None
  if clip.viewpoints is not None:
    of_views = uniforms[_VIEWPOINTS][: clip.viewpoints.num_uniforms]
    views = viewpoints.draw(clip.viewpoints, of_views, flip=augmentation is not None)
  if clip.panorama and augmentation is not None and augmentation.turn_scene:
    columns = draws.uniform_integer(uniforms[_YAW], 0, 2 * clip.frame_size - 1)
  low, high = 0, last_video
  if clip.panorama:
    low, high = panoramas.starts(stored, clip, last_video)
    video_start = draws.uniform_integer(uniforms[_VIDEO_START], low, high)
    audio_start = panoramas.sound_start(stored, clip, video_start, last_audio)
  elif last_audio is not None:
    audio_start = draws.uniform_integer(uniforms[_AUDIO_START], 0, last_audio)
  if last_audio is not None:
    waveform = _cut_waveform(stored, clip, audio_start)
    if augmentation is not None:
      volume = _between(augmentation.volume, uniforms[_VOLUME])
      waveform = audio_ops.scale_volume(waveform, volume)
    turn = turn_sound or (augmentation is not None and augmentation.turn_sound)
    if columns is not None:
      waveform = panoramas.turn_field(waveform, columns, clip)
    if views is not None:
      waveform = clip_views.hear(waveform, views, uniforms[_YAW] if turn else None)
    example[keys.AUDIO] = waveform
    if clip.panorama:
      example[keys.CHANNELS] = panoramas.known_channels(stored.waveform)
    elif last_video is not None:
      low, high = _video_starts(stored, clip, audio_start, last_video, clip.max_offset_sec)
  if last_video is not None:
    if not clip.panorama:
      video_start = draws.uniform_integer(uniforms[_VIDEO_START], low, high)
    places = video_start + _frame_offsets(stored, clip)
    encoded = _cut_frames(stored.frames, clip, places)
    if views is not None or clip.panorama:
      example.update(_all_around(stored, encoded, clip, places, views, columns))
      if augmentation is not None:
        example[keys.VIDEO] = _recolored(example[keys.VIDEO], clip, augmentation, uniforms)
    elif augmentation is None:
      example[keys.VIDEO] = center_frames(encoded, clip, stored.key)
    else:
      example[keys.VIDEO] = _augmented(encoded, clip, augmentation, uniforms, stored.key)
  return example


def even_example(
  stored: StoredClip,
  clip: ClipSpec,
  window: Tensor,
  num_windows: int,
  uniforms: Tensor,
  turn_sound: bool = False,
) -> keys.Batch:
  """Takes one of `num_windows` windows spread evenly over a clip, and the centre crop.

  The viewpoints of 360° clips are drawn all the same.

  Args:
    stored: the clip.
    clip: what to take of it.
    window: int64 scalar, number of the window in 0..num_windows - 1.
    num_windows: number of windows.
    uniforms: as of `random_example`; used for viewpoints alone.
    turn_sound: of 360° clips, whether the sound is turned to the left by any angle, out of line
      with the picture.

  Returns:
    As `random_example`; and `BOXES`, float32 `[num_frames, 4]`, if they are asked for, as shares of
    the sides of what the frames show.

  Raises:
    tf.errors.InvalidArgumentError: the clip is too short; the message names it.
  """
  last_audio, last_video = _last_starts(stored, clip)
  example, views = {}, None
  if clip.viewpoints is not None:
    views = viewpoints.draw(clip.viewpoints, uniforms[_VIEWPOINTS], flip=False)
  if clip.panorama:
    low, high = panoramas.starts(stored, clip, last_video)
    video_start = low + draws.even_start(window, num_windows, high - low)
    audio_start = panoramas.sound_start(stored, clip, video_start, last_audio)
  elif last_audio is not None:
    audio_start = draws.even_start(window, num_windows, last_audio)
  if last_audio is not None:
    waveform = _cut_waveform(stored, clip, audio_start)
    if views is not None:
      waveform = clip_views.hear(waveform, views, uniforms[_YAW] if turn_sound else None)
    example[keys.AUDIO] = waveform
    if clip.panorama:
      example[keys.CHANNELS] = panoramas.known_channels(stored.waveform)
  if last_video is not None:
    if last_audio is None:
      video_start = draws.even_start(window, num_windows, last_video)
    elif not clip.panorama:
      video_start, _ = _video_starts(stored, clip, audio_start, last_video, max_offset_sec=0.0)
    if clip.panorama:
      start_sec = tf.cast(audio_start, tf.float32) / stored.sample_rate_hz
      example[keys.SOURCES] = source_tracks.sounding(stored, start_sec, clip.audio_sec)
    places = video_start + _frame_offsets(stored, clip)
    encoded = _cut_frames(stored.frames, clip, places)
    if views is not None or clip.panorama:
      example.update(_all_around(stored, encoded, clip, places, views, columns=None))
    else:
      example[keys.VIDEO] = center_frames(encoded, clip, stored.key)
      if clip.boxes:
        example[keys.BOXES] = _boxes(stored, encoded, clip, places)
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


def _cut_frames(frames: Tensor, clip: ClipSpec, places: Tensor) -> list[Tensor]:
  return tf.unstack(_cut_steps(frames, clip, places), clip.num_frames)


def _cut_steps(steps: Tensor, clip: ClipSpec, places: Tensor) -> Tensor:
  """What belongs to the frames at `places`, of something that has a step for each frame."""
  if clip.repeat_frames:
    places %= tf.shape(steps, tf.int64)[0]
  return tf.gather(steps, places)


def _all_around(
  stored: StoredClip,
  encoded: list[Tensor],
  clip: ClipSpec,
  places: Tensor,
  views: Optional[viewpoints.Viewpoints],
  columns: Optional[Tensor],
) -> keys.Batch:
  """What a 360° clip shows, from the viewpoints, or as a whole where there are none."""
  if views is not None:
    return clip_views.see(stored, encoded, places, clip, views)
  example = {keys.VIDEO: panoramas.frames(encoded, clip, columns, stored.key)}
  if clip.flow:
    moving = _cut_frames(stored.flow, clip, places)
    example[keys.FLOW] = panoramas.flow(moving, clip, columns, stored.key)
  return example


def center_frames(
  encoded: Sequence[Tensor], clip: ClipSpec, key: Union[Tensor, str] = ""
) -> Tensor:
  """The centres of frames, as they are looked at where nothing is random.

  Args:
    encoded: JPEG bytes of each frame, string scalars, all of the same size.
    clip: how large they are wanted.
    key: id of the clip, for messages.

  Returns:
    uint8 `[len(encoded), frame_size, frame_size, 3]`, RGB.
  """
  box, _ = _center_box(encoded, clip, key)
  return frame_ops.to_uint8(frame_ops.decode_crop_resize(encoded, box, clip.frame_size))


def _center_box(
  encoded: Sequence[Tensor], clip: ClipSpec, key: Union[Tensor, str]
) -> tuple[Tensor, list[Tensor]]:
  """What is shown of the picture, as of `center_crop_box`, and the picture's height and width."""
  height, width = frame_ops.jpeg_size(encoded, key)
  if clip.whole_picture:
    return tf.stack([0, 0, height, width]), [height, width]
  return frame_ops.center_crop_box(height, width), [height, width]


def _boxes(stored: StoredClip, encoded: list[Tensor], clip: ClipSpec, places: Tensor) -> Tensor:
  """Boxes of what sounds in the frames, as shares of what they show: float32 `[num_frames, 4]`.

  Where a clip holds none, they are empty: nothing is known.
  """
  num_boxes, num_frames = tf.shape(stored.boxes)[0], tf.shape(stored.frames)[0]
  check = tf.debugging.Assert(
    (num_boxes == 0) | (num_boxes == num_frames),
    ["Clip", stored.key, "does not hold one box a frame of what sounds: it has",
     num_boxes, "boxes and", num_frames, "frames."],
  )  # fmt: skip
  with tf.control_dependencies([check]):
    boxes = tf.cond(num_boxes == 0, lambda: tf.zeros([num_frames, 4]), lambda: stored.boxes)
  box, size = _center_box(encoded, clip, stored.key)
  return frame_ops.boxes_in_crop(_cut_steps(boxes, clip, places), box, *size)


def _augmented(
  encoded: list[Tensor],
  clip: ClipSpec,
  augmentation: Augmentation,
  uniforms: Tensor,
  key: Tensor,
) -> Tensor:
  height, width = frame_ops.jpeg_size(encoded, key)
  box = frame_ops.random_crop_box(
    uniforms[_CROP], height, width, augmentation.crop_area, augmentation.crop_aspect
  )
  frames = frame_ops.decode_crop_resize(encoded, box, clip.frame_size)
  mirrored = uniforms[_FLIP] < augmentation.flip_probability
  frames = tf.cond(mirrored, lambda: frame_ops.mirror(frames), lambda: frames)
  return frame_ops.to_uint8(_color_jitter(frames, augmentation, uniforms[_COLOR]))


def _recolored(
  frames: Tensor, clip: ClipSpec, augmentation: Augmentation, uniforms: Tensor
) -> Tensor:
  """Frames of a 360° clip in other colours: the same for all, or for each view its own."""
  if clip.viewpoints is None or not augmentation.color_each_view:
    return _other_colors(frames, augmentation, uniforms[_COLOR])
  of_views = tf.reshape(uniforms[num_uniforms(clip) :], [-1, _NUM_COLORS])
  return tf.stack(
    [
      _other_colors(frames[view], augmentation, of_views[view])
      for view in range(clip.viewpoints.num_viewpoints)
    ]
  )


def _other_colors(frames: Tensor, augmentation: Augmentation, drawn: Tensor) -> Tensor:
  """Frames of 360° clips, uint8 `[..., H, W, 3]`, in other colours, the same for all."""
  flat = tf.reshape(frames, [-1, *frames.shape[-3:]])
  flat = _color_jitter(tf.cast(flat, tf.float32), augmentation, drawn)
  return tf.reshape(frame_ops.to_uint8(flat), frames.shape)


def _color_jitter(frames: Tensor, augmentation: Augmentation, uniforms: Tensor) -> Tensor:
  """Frames in other colours; `uniforms`: float64 `[_NUM_COLORS]`."""
  spread = [getattr(augmentation, name) for name in ("brightness", "contrast", "saturation", "hue")]
  drawn = tf.cast(2 * uniforms - 1, tf.float32) * spread
  brightness, contrast, saturation, hue = tf.unstack(drawn + [1.0, 1.0, 1.0, 0.0])
  return frame_ops.color_jitter(frames, brightness, contrast, saturation, hue)


def _between(bounds: tuple[float, float], uniform: Tensor) -> Tensor:
  low, high = bounds
  return low + (high - low) * uniform
