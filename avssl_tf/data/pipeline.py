"""From records to batches: read > parse > sample > decode > augment > batch.

The training stream is endless. Its element g = step * global_batch + position is a pure
function of (seed, g): which record, which windows, which augmentation. So a run that is
resumed at a step sees what it would have seen, at no cost; several workers take disjoint
positions of the same stream; and the number of threads changes nothing.

By default each element draws its record independently, with replacement. With a memory bank
this matters: where each clip comes once a pass, the row of the positive is always the one
that was written longest ago, while part of the negatives are fresh, and networks learn to
tell the age of a row instead of its content. Independent draws give positives and negatives
the same distribution of ages.

Windows: the sound's window lies anywhere in the clip, uniformly; the centre of the frames'
window lies within `ClipSpec.max_offset_sec` of the centre of the sound's, uniformly among
the stored frames, and inside the clip. Only the frames drawn are decoded.
"""

import dataclasses
from typing import Dict, Optional, Tuple

import gin
import tensorflow as tf

from avssl_tf import types
from avssl_tf.data import audio_ops, frame_ops, schema
from avssl_tf.data.dataset_info import DatasetInfo
from avssl_tf.data.record_reader import RecordReader
from avssl_tf.types import Tensor

SAMPLINGS = ("independent", "shuffle")

# Positions of an element's random numbers in its vector of uniform draws.
_RECORD, _AUDIO_START, _VIDEO_START, _FLIP, _VOLUME = range(5)
_COLOR = slice(5, 9)
_CROP = slice(9, 9 + frame_ops.CROP_UNIFORMS)
_NUM_UNIFORMS = _CROP.stop


@gin.register
@dataclasses.dataclass(frozen=True)
class ClipSpec:
  """What a model gets to see and hear of a clip.

  Attributes:
    num_frames: number of frames.
    frame_rate_hz: rate of the frames; the nearest stored ones are taken.
    frame_size: height and width of the frames, in pixels.
    audio_sec: duration of the sound.
    max_offset_sec: how far the centre of the frames' window may be from that of the sound's
      in training. In evaluation they coincide where the clip's ends allow.
  """

  num_frames: int = 8
  frame_rate_hz: float = 16.0
  frame_size: int = 112
  audio_sec: float = 2.0
  max_offset_sec: float = 0.5

  @property
  def video_sec(self) -> float:
    """Duration of the frames' window."""
    return self.num_frames / self.frame_rate_hz

  def num_samples(self, sample_rate_hz: float) -> int:
    """Number of samples of the sound's window."""
    return round(self.audio_sec * sample_rate_hz)


@gin.register
@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Random changes to training clips; the same for all frames of a clip.

  The defaults are those of AVID (Morgado, Vasconcelos, Misra, CVPR 2021).

  Attributes:
    crop_area: bounds of the share of the image that a crop covers.
    crop_aspect: bounds of a crop's width / height.
    flip_probability: share of clips that are mirrored.
    brightness: factor drawn from 1 +- this.
    contrast: factor drawn from 1 +- this.
    saturation: factor drawn from 1 +- this.
    hue: turn, as a share of the full circle, drawn from +- this.
    volume: bounds of the factor of the sound.
  """

  crop_area: Tuple[float, float] = (0.08, 1.0)
  crop_aspect: Tuple[float, float] = (3 / 4, 4 / 3)
  flip_probability: float = 0.5
  brightness: float = 0.4
  contrast: float = 0.4
  saturation: float = 0.4
  hue: float = 0.2
  volume: Tuple[float, float] = (0.9, 1.1)


def training_dataset(
  data_dir: str,
  split: str,
  clip: ClipSpec,
  augmentation: Optional[Augmentation],
  batch_size: int,
  seed: int,
  first_step: int = 0,
  sampling: str = "independent",
  num_workers: int = 1,
  worker: int = 0,
  num_threads: Optional[int] = None,
) -> tf.data.Dataset:
  """Endless batches of randomly drawn and augmented clips.

  Args:
    data_dir: folder of a data set.
    split: its split, or a slice of it such as `"train[:3584]"`.
    clip: what to take of each clip.
    augmentation: random changes; None leaves the windows as the only random part and takes
      the centre crop.
    batch_size: clips in a batch of this worker.
    seed: of everything that is random.
    first_step: number of the first batch, to resume at.
    sampling: `"independent"` draws each clip anew, with replacement; `"shuffle"` takes each
      clip once a pass (see the top of this file for why not to).
    num_workers: number of workers that share a global batch of `num_workers * batch_size`.
    worker: number of this worker; it takes positions `worker * batch_size` onwards.
    num_threads: threads of this data set; None lets tf.data choose.

  Returns:
    Batches as described in `avssl_tf.types`: `VIDEO` uint8 `[B, T, H, W, 3]`, `AUDIO` float32
    `[B, samples, channels]`, `INDEX` int64 `[B]` (position in the split or slice), `LABEL`
    int64 `[B]`, `KEY` string `[B]`.

  Raises:
    FileNotFoundError: no data set, or files of it are missing.
    ValueError: no such split, an empty one, or an argument out of its range.
  """
  if sampling not in SAMPLINGS:
    raise ValueError(f"sampling is {sampling!r}; expected one of {SAMPLINGS}.")
  if not 0 <= worker < num_workers:
    raise ValueError(f"worker is {worker}; expected 0..{num_workers - 1} (num_workers - 1).")
  if first_step < 0:
    raise ValueError(f"first_step is {first_step}; expected 0 or more.")
  info, reader = _open(data_dir, split, clip, batch_size)

  def load(position: Tensor) -> types.Batch:
    step, place = position // batch_size, position % batch_size
    element = (step * num_workers + worker) * batch_size + place
    uniforms = tf.random.stateless_uniform([_NUM_UNIFORMS], [seed, element], dtype=tf.float64)
    record = draw_record(uniforms[_RECORD], element, reader.num_records, seed, sampling)
    stored = _parse(reader.read(record), record + reader.first, info)
    audio_start, video_start = _random_windows(stored, clip, info, uniforms)
    return _load_example(stored, record, clip, info, audio_start, video_start,
                         augmentation, uniforms)

  positions = tf.data.Dataset.range(first_step * batch_size, tf.int64.max)
  dataset = positions.map(load, tf.data.AUTOTUNE, deterministic=True)
  dataset = dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
  return dataset.with_options(_options(num_threads))


def evaluation_dataset(
  data_dir: str,
  split: str,
  clip: ClipSpec,
  batch_size: int,
  windows_per_clip: int = 1,
  num_threads: Optional[int] = None,
) -> tf.data.Dataset:
  """One pass over a split, in the order of the records, without anything random.

  A single window lies in the middle of the clip; several are spread evenly from its start to
  its end and follow each other. Frames are resized to a short side of `frame_size * 256 / 224`
  and cropped in the centre.

  Args:
    data_dir: folder of a data set.
    split: its split, or a slice of it such as `"test[:1000]"`.
    clip: what to take of each clip.
    batch_size: windows in a batch; the last batch may have fewer.
    windows_per_clip: number of windows of each clip.
    num_threads: threads of this data set; None lets tf.data choose.

  Returns:
    Batches as of `training_dataset`.

  Raises:
    FileNotFoundError: no data set, or files of it are missing.
    ValueError: no such split, an empty one, or an argument out of its range.
  """
  if windows_per_clip < 1:
    raise ValueError(f"windows_per_clip is {windows_per_clip}; expected 1 or more.")
  info, reader = _open(data_dir, split, clip, batch_size)

  def load(position: Tensor) -> types.Batch:
    record, window = position // windows_per_clip, position % windows_per_clip
    stored = _parse(reader.read(record), record + reader.first, info)
    audio_start, video_start = _even_windows(stored, clip, info, window, windows_per_clip)
    return _load_example(stored, record, clip, info, audio_start, video_start)

  positions = tf.data.Dataset.range(reader.num_records * windows_per_clip)
  dataset = positions.map(load, tf.data.AUTOTUNE, deterministic=True)
  dataset = dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)
  return dataset.with_options(_options(num_threads))


def draw_record(
  uniform: Tensor, element: Tensor, num_records: int, seed: int, sampling: str
) -> Tensor:
  """Number of the record that an element of the training stream shows.

  Args:
    uniform: float64 scalar in [0, 1), the element's own random number.
    element: int64 scalar, number of the element in the stream.
    num_records: number of records to choose from.
    seed: of the permutations of `"shuffle"`.
    sampling: `"independent"` or `"shuffle"`.

  Returns:
    int64 scalar in 0..num_records - 1.
  """
  if sampling == "independent":
    return audio_ops.window_start(uniform, tf.constant(0, tf.int64), num_records - 1)
  return tf.random.experimental.index_shuffle(
    element % num_records, [seed, element // num_records], num_records - 1
  )


def _open(
  data_dir: str, split: str, clip: ClipSpec, batch_size: int
) -> Tuple[DatasetInfo, RecordReader]:
  if batch_size < 1:
    raise ValueError(f"batch_size is {batch_size}; expected 1 or more.")
  info = DatasetInfo.load(data_dir)
  for name, wanted in (("audio_sec", clip.audio_sec), ("video_sec", clip.video_sec)):
    if wanted > info.clip_duration_sec:
      raise ValueError(
        f"ClipSpec.{name} is {wanted:g} s, but clips of {info.name!r} in {data_dir!r} last "
        f"{info.clip_duration_sec:g} s: ask for less, or build records of longer clips."
      )
  return info, RecordReader(data_dir, info, split)


def _options(num_threads: Optional[int]) -> tf.data.Options:
  options = tf.data.Options()
  options.deterministic = True
  # The stream is divided among the workers already.
  options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
  if num_threads is not None:
    options.threading.private_threadpool_size = num_threads
  return options


def _parse(serialized: Tensor, clip_index: Tensor, info: DatasetInfo) -> Dict[str, Tensor]:
  """Takes a record apart: frames still encoded, sound as `[samples * channels]`."""
  context, lists = tf.io.parse_single_sequence_example(
    serialized, schema.context_spec(), schema.sequence_spec()
  )
  stored = {**context, **lists}
  stored[schema.WAVEFORM] = tf.reshape(lists[schema.WAVEFORM].values, [-1, info.num_channels])
  tf.debugging.Assert(
    (stored[schema.CLIP_INDEX] == clip_index)
    & (stored[schema.NUM_CHANNELS] == info.num_channels)
    & (stored[schema.SAMPLE_RATE] == float(info.sample_rate_hz)),
    ["Record", clip_index, "is not what dataset_info.json says. clip/index, channels and "
     "sample rate in the record:", stored[schema.CLIP_INDEX], stored[schema.NUM_CHANNELS],
     stored[schema.SAMPLE_RATE], ". Build the data set again."],
  )
  return stored


def _last_starts(
  stored: Dict[str, Tensor], clip: ClipSpec, info: DatasetInfo
) -> Tuple[Tensor, Tensor]:
  """Last start of a window inside the clip, in samples and in stored frames (int64 scalars)."""
  num_samples = tf.shape(stored[schema.WAVEFORM], tf.int64)[0]
  num_frames = tf.shape(stored[schema.IMAGE_ENCODED], tf.int64)[0]
  last_frame = _frame_offsets(stored, clip)[-1]
  wanted_samples = clip.num_samples(info.sample_rate_hz)
  tf.debugging.Assert(
    (num_samples >= wanted_samples) & (num_frames > last_frame),
    ["Clip", stored[schema.EXAMPLE_ID], "is too short: it has", num_samples, "samples and",
     num_frames, "frames; the windows asked for take", wanted_samples, "samples and",
     last_frame + 1, "frames. Lower ClipSpec.audio_sec or num_frames, or build the data set "
     "with a larger minimum duration."],
  )
  return num_samples - wanted_samples, num_frames - 1 - last_frame


def _frame_offsets(stored: Dict[str, Tensor], clip: ClipSpec) -> Tensor:
  return frame_ops.frame_offsets(
    clip.num_frames, clip.frame_rate_hz, stored[schema.IMAGE_FRAME_RATE]
  )


def _random_windows(
  stored: Dict[str, Tensor], clip: ClipSpec, info: DatasetInfo, uniforms: Tensor
) -> Tuple[Tensor, Tensor]:
  """First sample and first stored frame of randomly drawn windows (int64 scalars)."""
  last_audio, last_video = _last_starts(stored, clip, info)
  audio_start = audio_ops.window_start(
    uniforms[_AUDIO_START], tf.zeros_like(last_audio), last_audio
  )
  first, last = _near(audio_start, last_video, clip.max_offset_sec, stored, clip, info)
  return audio_start, audio_ops.window_start(uniforms[_VIDEO_START], first, last)


def _even_windows(
  stored: Dict[str, Tensor], clip: ClipSpec, info: DatasetInfo, window: Tensor, num_windows: int
) -> Tuple[Tensor, Tensor]:
  """First sample and first stored frame of one of `num_windows` evenly spread windows."""
  last_audio, last_video = _last_starts(stored, clip, info)
  audio_start = audio_ops.even_window_start(window, num_windows, last_audio)
  video_start, _ = _near(audio_start, last_video, 0.0, stored, clip, info)
  return audio_start, video_start


def _near(audio_start, last_video, max_offset_sec, stored, clip, info) -> Tuple[Tensor, Tensor]:
  center_sec = tf.cast(audio_start, tf.float64) / info.sample_rate_hz + clip.audio_sec / 2
  rate_hz = tf.cast(stored[schema.IMAGE_FRAME_RATE], tf.float64)
  return audio_ops.nearby_starts(center_sec, max_offset_sec, clip.video_sec, rate_hz, last_video)


def _load_example(
  stored: Dict[str, Tensor],
  record: Tensor,
  clip: ClipSpec,
  info: DatasetInfo,
  audio_start: Tensor,
  video_start: Tensor,
  augmentation: Optional[Augmentation] = None,
  uniforms: Optional[Tensor] = None,
) -> types.Batch:
  """Decodes and augments the windows of one clip."""
  encoded = tf.gather(stored[schema.IMAGE_ENCODED], video_start + _frame_offsets(stored, clip))
  encoded = tf.unstack(encoded, clip.num_frames)
  height, width = tf.unstack(tf.io.extract_jpeg_shape(encoded[0])[:2])
  samples = clip.num_samples(info.sample_rate_hz)
  waveform = stored[schema.WAVEFORM][audio_start : audio_start + samples]
  waveform = tf.ensure_shape(waveform, [samples, info.num_channels])
  if augmentation is None:
    box = frame_ops.center_crop_box(height, width)
    video = frame_ops.decode_crop_resize(encoded, box, clip.frame_size)
  else:
    box = frame_ops.random_crop_box(
      uniforms[_CROP], height, width, augmentation.crop_area, augmentation.crop_aspect
    )
    video = frame_ops.decode_crop_resize(encoded, box, clip.frame_size)
    video, waveform = _augment(video, waveform, augmentation, uniforms)
  labels = stored[schema.LABEL_INDEX].values
  return {
    types.VIDEO: video,
    types.AUDIO: waveform,
    types.INDEX: record,
    types.LABEL: tf.concat([labels, tf.constant([-1], tf.int64)], axis=0)[0],
    types.KEY: stored[schema.EXAMPLE_ID],
  }


def _augment(
  video: Tensor, waveform: Tensor, augmentation: Augmentation, uniforms: Tensor
) -> Tuple[Tensor, Tensor]:
  video = frame_ops.flip(video, uniforms[_FLIP] < augmentation.flip_probability)
  spread = [
    augmentation.brightness, augmentation.contrast, augmentation.saturation, augmentation.hue
  ]
  drawn = tf.cast(2 * uniforms[_COLOR] - 1, tf.float32) * spread
  brightness, contrast, saturation, hue = tf.unstack(drawn + [1.0, 1.0, 1.0, 0.0])
  video = frame_ops.color_jitter(video, brightness, contrast, saturation, hue)
  low, high = augmentation.volume
  return video, audio_ops.scale_volume(waveform, low + (high - low) * uniforms[_VOLUME])
