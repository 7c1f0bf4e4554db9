"""360° clips as a whole: equirectangular frames and the sound field, turned together.

The window of the frames is chosen first; the sound is that around the middle of their times.
Examples state which channels the sound field has: many recordings have no Z, and some only W.
"""

import math
from typing import Optional, Union

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import clip_kind, clip_windows, draws, frame_ops, source_tracks
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.pipeline.clip_windows import Windows
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.spatial import ambisonics, directions, optical_flow

# Power against that of W, -60 dB, up to which a channel counts as missing. Sound codecs and the
# rounding of samples leave something in an empty channel. A real one is far above: a single source
# would have to keep within 0.06° of the plane in which the channel hears nothing, all the time and
# without an echo.
_SILENT_POWER = 1e-6


class Panorama(clip_kind.ClipKind):
  """360° clips as they are recorded: equirectangular frames and ambisonics.

  There are also `CHANNELS`, bool `[channels]`; `FLOW`, uint8 of the shape of the frames, where
  `ClipSpec.flow` asks for it; and in evaluation `SOURCES`, as `source_tracks.sounding` gives them.
  """

  def check(self, info: DatasetInfo, data_dir: str) -> None:
    """Raises a `UserError` for records of ordinary video, or without a flow that is wanted."""
    clip_kind.check_spherical(info, data_dir, "panorama")
    if self.clip.flow and not info.flow:
      raise UserError(
        f"The records in {data_dir!r} hold no optical flow, and ClipSpec.flow asks for it: build "
        "them with --flow (those of the 360° demo world with DemoData.flow = True), or leave it "
        "out."
      )

  def num_uniforms(self, augmentation: Optional[Augmentation] = None) -> int:
    """Random numbers that an example takes."""
    del augmentation
    return clip_kind.YAW + 1

  @property
  def frames_shape(self) -> list[int]:
    """`[num_frames, frame_size, 2 * frame_size, 3]`."""
    return [self.clip.num_frames, self.clip.frame_size, 2 * self.clip.frame_size, 3]

  def zero_batch(self, sample_rate_hz: int, num_channels: int) -> keys.Batch:
    """Two black and silent clips, with a flow where it is asked for."""
    batch = super().zero_batch(sample_rate_hz, num_channels)
    if self.clip.flow:
      still = tf.constant(optical_flow.STILL, tf.uint8)
      batch[keys.FLOW] = tf.fill(batch[keys.VIDEO].shape, still)
    return batch

  def _random_windows(self, stored: StoredClip, uniforms: Tensor) -> Windows:
    last = clip_windows.last_starts(stored, self.clip)
    low, high = starts(stored, self.clip, last.video_start)
    video_start = draws.uniform_integer(uniforms[clip_kind.VIDEO_START], low, high)
    return Windows(sound_start(stored, self.clip, video_start, last.audio_start), video_start)

  def _even_windows(self, stored: StoredClip, window: Tensor, num_windows: int) -> Windows:
    last = clip_windows.last_starts(stored, self.clip)
    low, high = starts(stored, self.clip, last.video_start)
    video_start = low + draws.even_start(window, num_windows, high - low)
    return Windows(sound_start(stored, self.clip, video_start, last.audio_start), video_start)

  def _scene(self, augmentation: Optional[Augmentation], uniforms: Tensor) -> Optional[Tensor]:
    """By how many columns of pixels frames and sound are turned to the left; int64 scalar."""
    if augmentation is None or not augmentation.turn_scene:
      return None
    return draws.uniform_integer(uniforms[clip_kind.YAW], 0, 2 * self.clip.frame_size - 1)

  def _heard(
    self, stored: StoredClip, waveform: Tensor, scene: Optional[Tensor], yaw: Optional[Tensor]
  ) -> keys.Batch:
    if scene is not None:
      waveform = turn_field(waveform, scene, self.clip)
    return {keys.AUDIO: waveform, keys.CHANNELS: known_channels(stored.waveform)}

  def _seen(
    self,
    stored: StoredClip,
    encoded: list[Tensor],
    places: Tensor,
    scene: Optional[Tensor],
    augmentation: Optional[Augmentation],
    uniforms: Tensor,
  ) -> keys.Batch:
    example = {keys.VIDEO: frames(encoded, self.clip, scene, stored.key)}
    if augmentation is not None:
      colors = uniforms[clip_kind.COLOR]
      example[keys.VIDEO] = clip_kind.recolored(example[keys.VIDEO], augmentation, colors)
    if self.clip.flow:
      moving = clip_windows.take_frames(stored.flow, self.clip, places)
      example[keys.FLOW] = flow(moving, self.clip, scene, stored.key)
    return example

  def _truth(self, stored: StoredClip, windows: Windows) -> keys.Batch:
    start_sec = tf.cast(windows.audio_start, tf.float32) / stored.sample_rate_hz
    return {keys.SOURCES: source_tracks.sounding(stored, start_sec, self.clip.audio_sec)}


def starts(stored: StoredClip, clip: ClipSpec, last_video: Tensor) -> tuple[Tensor, Tensor]:
  """First and last stored frame that frames may start at with the sound around them.

  Where no sound fits, both are those that are nearest to fitting.

  Args:
    stored: the clip.
    clip: what to take of it.
    last_video: int64 scalar, the last stored frame that the frames' window may start at.

  Returns:
    int64 scalars.
  """
  rate_hz = tf.cast(stored.frame_rate_hz, tf.float64)
  num_samples = tf.shape(stored.waveform, tf.int64)[0]
  duration_sec = tf.cast(num_samples, tf.float64) / stored.sample_rate_hz
  middle = _middle_offset(stored, clip)
  half_sec = clip.audio_sec / 2
  # The margin keeps a start that lies on the limit but for rounding.
  low = tf.math.ceil(half_sec * rate_hz - middle - 1e-6)
  high = tf.floor((duration_sec - half_sec) * rate_hz - middle + 1e-6)
  limits = tf.cast(tf.stack([tf.minimum(low, high), high]), tf.int64)
  limits = tf.clip_by_value(limits, tf.zeros_like(last_video), last_video)
  return limits[0], limits[1]


def sound_start(
  stored: StoredClip, clip: ClipSpec, video_start: Tensor, last_audio: Tensor
) -> Tensor:
  """The sample at which sound starts whose middle is that of the frames, inside the clip.

  Exactly so, as far as samples go: a source that moves has to be heard from where it is seen.

  Args:
    stored: the clip.
    clip: what to take of it.
    video_start: int64 scalar, the stored frame that the frames start at.
    last_audio: int64 scalar, the last sample that the sound's window may start at.

  Returns:
    int64 scalar.
  """
  rate_hz = tf.cast(stored.frame_rate_hz, tf.float64)
  middle_sec = (tf.cast(video_start, tf.float64) + _middle_offset(stored, clip)) / rate_hz
  start = tf.floor((middle_sec - clip.audio_sec / 2) * stored.sample_rate_hz + 0.5)
  return tf.clip_by_value(tf.cast(start, tf.int64), tf.zeros_like(last_audio), last_audio)


def frames(
  encoded: list[Tensor],
  clip: ClipSpec,
  columns: Optional[Tensor],
  key: Union[Tensor, str] = "",
) -> Tensor:
  """The frames, in their size, turned to the left.

  Args:
    encoded: JPEG bytes of the frames to show, string scalars.
    clip: what to take of the clip.
    columns: int64 scalar, by how many columns of pixels they are turned; None: not at all.
    key: id of the clip, for messages.

  Returns:
    uint8 `[num_frames, frame_size, 2 * frame_size, 3]`.
  """
  decoded = tf.stack([frame_ops.decode_jpeg(frame, key) for frame in encoded])
  return _fitted(decoded, clip, columns)


def flow(
  encoded: list[Tensor],
  clip: ClipSpec,
  columns: Optional[Tensor],
  key: Union[Tensor, str] = "",
) -> Tensor:
  """The pictures of the optical flow, in the size of the frames and turned like them.

  They hold angles, which stay the same in another size.

  Args:
    encoded: JPEG bytes of the pictures of the frames to show, string scalars.
    clip: as of `frames`.
    columns: as of `frames`.
    key: as of `frames`.

  Returns:
    uint8 `[num_frames, frame_size, 2 * frame_size, 3]`.
  """
  # The faster, default method is off by half a step more.
  pictures = [frame_ops.decode_jpeg(one, key, "INTEGER_ACCURATE") for one in encoded]
  return _fitted(tf.stack(pictures), clip, columns)


def known_channels(waveform: Tensor) -> Tensor:
  """Which channels a sound field has: those that are not silent throughout.

  Channels that turns about the vertical axis mix, such as Y and X, are both missing where one of
  them is: what a turned field has does not depend on the turn.

  Args:
    waveform: float32 `[samples, channels]`, ambisonics (ACN), the whole of what is stored.

  Returns:
    bool `[channels]`. All are missing in silence.
  """
  power = tf.reduce_mean(tf.square(waveform), axis=0)
  known = power > _SILENT_POWER * power[0]
  channels = waveform.shape[1]
  degrees = [math.isqrt(number) for number in range(channels)]
  # In ACN, channel l (l + 1) + m is mixed with l (l + 1) - m.
  partners = [2 * degree * (degree + 1) - number for number, degree in enumerate(degrees)]
  return known & tf.gather(known, partners)


def turn_field(waveform: Tensor, columns: Tensor, clip: ClipSpec) -> Tensor:
  """A sound field turned to the left by the angle of so many columns of pixels.

  Args:
    waveform: float32 `[samples, channels]`, ambisonics.
    columns: int64 scalar.
    clip: what to take of the clip.

  Returns:
    As `waveform`.
  """
  yaw_rad = tf.cast(2.0 * math.pi * (columns / (2 * clip.frame_size)), tf.float32)
  return ambisonics.rotate(waveform, directions.rotation(yaw_rad))


def _middle_offset(stored: StoredClip, clip: ClipSpec) -> Tensor:
  """The mean time of the frames of a window, in stored frames from its first one."""
  return tf.reduce_mean(tf.cast(clip_windows.frame_offsets(stored, clip), tf.float64))


def _fitted(pictures: Tensor, clip: ClipSpec, columns: Optional[Tensor]) -> Tensor:
  size = [clip.frame_size, 2 * clip.frame_size]
  pictures = tf.cond(
    tf.reduce_all(tf.shape(pictures)[1:3] == size),
    lambda: pictures,
    # The mean over the pixels that one pixel covers: plain sampling would skip some.
    lambda: frame_ops.to_uint8(tf.image.resize(pictures, size, "area")),
  )
  pictures = tf.ensure_shape(pictures, [clip.num_frames, *size, 3])
  return pictures if columns is None else tf.roll(pictures, -columns, axis=2)
