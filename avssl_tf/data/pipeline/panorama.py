"""Whole 360° clips: equirectangular frames and the sound field, rotated together.

The frame window is chosen first; the audio window is centred on the mean time of its frames.
Examples include a mask of the channels that the sound field has, because many recordings have no Z,
and some only W.
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

# A channel with power up to this fraction of that of W (-60 dB) counts as missing. Audio codecs and
# rounding leave some noise in an empty channel. A real channel has far more power: otherwise a
# single source would have to stay within 0.06° of the plane where the channel is insensitive, all
# the time and without echo.
_SILENT_POWER = 1e-6


class Panorama(clip_kind.ClipKind):
  """360° clips as equirectangular frames and ambisonics.

  Examples also have `CHANNELS`, bool `[channels]`, with `ClipSpec.flow` also `FLOW`, uint8 of the
  shape of the frames, and in evaluation `SOURCES`, see `source_tracks.sounding`.
  """

  def check(self, info: DatasetInfo, data_dir: str) -> None:
    """Raises a `UserError` for records of ordinary video, or if required flow is missing."""
    clip_kind.check_spherical(info, data_dir, "panorama")
    if self.clip.flow and not info.flow:
      raise UserError(
        f"The records in {data_dir!r} have no optical flow, but ClipSpec.flow requires it: build "
        "them with --flow (the 360° demo world with DemoData.flow = True), or unset it."
      )

  def num_uniforms(self, augmentation: Optional[Augmentation] = None) -> int:
    """Number of random numbers per example."""
    del augmentation
    return clip_kind.YAW + 1

  @property
  def frames_shape(self) -> list[int]:
    """`[num_frames, frame_size, 2 * frame_size, 3]`."""
    return [self.clip.num_frames, self.clip.frame_size, 2 * self.clip.frame_size, 3]

  def zero_batch(self, sample_rate_hz: int, num_channels: int) -> keys.Batch:
    """A batch of two black, silent clips, with zero flow if `ClipSpec.flow` is set."""
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
    """Rotation of frames and audio to the left, in columns of pixels; int64 scalar."""
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
  """First and last start of the frame window for which the centred audio window fits.

  If no audio window fits, both are the start that is nearest to fitting.

  Args:
    stored: the clip.
    clip: parts of a clip to read.
    last_video: int64 scalar, the last stored frame at which the frame window may start.

  Returns:
    int64 scalars.
  """
  rate_hz = tf.cast(stored.frame_rate_hz, tf.float64)
  num_samples = tf.shape(stored.waveform, tf.int64)[0]
  duration_sec = tf.cast(num_samples, tf.float64) / stored.sample_rate_hz
  middle = _middle_offset(stored, clip)
  half_sec = clip.audio_sec / 2
  # The margin keeps a start that equals the limit up to rounding.
  low = tf.math.ceil(half_sec * rate_hz - middle - 1e-6)
  high = tf.floor((duration_sec - half_sec) * rate_hz - middle + 1e-6)
  limits = tf.cast(tf.stack([tf.minimum(low, high), high]), tf.int64)
  limits = tf.clip_by_value(limits, tf.zeros_like(last_video), last_video)
  return limits[0], limits[1]


def sound_start(
  stored: StoredClip, clip: ClipSpec, video_start: Tensor, last_audio: Tensor
) -> Tensor:
  """Start of the audio window that is centred on the frames, inside the clip.

  The centres match to the nearest sample, so that the audio of a moving source matches its visible
  direction.

  Args:
    stored: the clip.
    clip: parts of a clip to read.
    video_start: int64 scalar, the stored frame at which the frame window starts.
    last_audio: int64 scalar, the last sample at which the audio window may start.

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
  """Decodes frames, resizes them and rotates them to the left.

  Args:
    encoded: JPEG bytes of the frames, string scalars.
    clip: size and number of the frames.
    columns: int64 scalar, rotation in columns of pixels; None disables it.
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
  """Decodes optical flow images, resizes them and rotates them like the frames.

  They contain angles, which do not depend on the size of the image.

  Args:
    encoded: JPEG bytes of the flow images of the frames, string scalars.
    clip: as in `frames`.
    columns: as in `frames`.
    key: as in `frames`.

  Returns:
    uint8 `[num_frames, frame_size, 2 * frame_size, 3]`.
  """
  # The error of the faster default method is larger by half a step.
  images = [frame_ops.decode_jpeg(one, key, "INTEGER_ACCURATE") for one in encoded]
  return _fitted(tf.stack(images), clip, columns)


def known_channels(waveform: Tensor) -> Tensor:
  """Finds the channels of a sound field that are not silent.

  If one of two channels that a rotation about the vertical axis mixes is missing, such as Y and X,
  both count as missing. The result therefore does not depend on the rotation.

  Args:
    waveform: float32 `[samples, channels]`, ambisonics (ACN), the whole stored signal.

  Returns:
    bool `[channels]`; all False for silence.
  """
  power = tf.reduce_mean(tf.square(waveform), axis=0)
  known = power > _SILENT_POWER * power[0]
  channels = waveform.shape[1]
  degrees = [math.isqrt(number) for number in range(channels)]
  # In ACN, channel l (l + 1) + m is mixed with l (l + 1) - m.
  partners = [2 * degree * (degree + 1) - number for number, degree in enumerate(degrees)]
  return known & tf.gather(known, partners)


def turn_field(waveform: Tensor, columns: Tensor, clip: ClipSpec) -> Tensor:
  """Rotates a sound field to the left by a number of columns of pixels.

  Args:
    waveform: float32 `[samples, channels]`, ambisonics.
    columns: int64 scalar.
    clip: size of the frames.

  Returns:
    float32, same shape as `waveform`.
  """
  yaw_rad = tf.cast(2.0 * math.pi * (columns / (2 * clip.frame_size)), tf.float32)
  return ambisonics.rotate(waveform, directions.rotation(yaw_rad))


def _middle_offset(stored: StoredClip, clip: ClipSpec) -> Tensor:
  """Mean time of the frames of a window, in stored frames relative to the first."""
  return tf.reduce_mean(tf.cast(clip_windows.frame_offsets(stored, clip), tf.float64))


def _fitted(images: Tensor, clip: ClipSpec, columns: Optional[Tensor]) -> Tensor:
  size = [clip.frame_size, 2 * clip.frame_size]
  images = tf.cond(
    tf.reduce_all(tf.shape(images)[1:3] == size),
    lambda: images,
    # Area averaging: plain sampling would skip pixels.
    lambda: frame_ops.to_uint8(tf.image.resize(images, size, "area")),
  )
  images = tf.ensure_shape(images, [clip.num_frames, *size, 3])
  return images if columns is None else tf.roll(images, -columns, axis=2)
