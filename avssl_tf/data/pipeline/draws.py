"""Chooses records, audio windows and frames.

All functions are pure. Random choices receive random numbers from the caller, uniform in [0, 1).
"""

from typing import Union

import tensorflow as tf

from avssl_tf.keys import Tensor

VIDEO_SAMPLING = "video"
SAMPLINGS = ("independent", "shuffle", VIDEO_SAMPLING)


def draw_record(
  uniform: Tensor, element: Tensor, num_records: int, seed: int, sampling: str
) -> Tensor:
  """Draws the record of an element of the training stream.

  Args:
    uniform: float64 scalar in [0, 1), random number of the element.
    element: int64 scalar, number of the element in the stream.
    num_records: number of records to choose from.
    seed: seed of the permutations of `"shuffle"`.
    sampling: `"independent"`, or `"shuffle"` for a new permutation in each pass.

  Returns:
    int64 scalar in 0..num_records - 1.
  """
  if sampling == "independent":
    return uniform_integer(uniform, 0, num_records - 1)
  return tf.random.experimental.index_shuffle(
    element % num_records, [seed, element // num_records], num_records - 1
  )


def draw_record_of_video(
  uniform: Tensor, element: Tensor, records: Tensor, starts: Tensor, group_size: int, seed: int
) -> Tensor:
  """Draws the record of an element of a stream that draws videos first, then clips.

  Elements g of the same group, `group_size * n <= g < group_size * (n + 1)`, have different videos.
  In a pass of V // group_size groups no video occurs twice, and each pass omits different videos.
  All clips of a video are equally probable, regardless of their number.

  Args:
    uniform: float64 scalar in [0, 1), random number of the element.
    element: int64 scalar, number of the element in the stream.
    records: int64 `[N]`, see `SourceVideos`.
    starts: int64 `[V + 1]`, see `SourceVideos`.
    group_size: elements per group, at most V.
    seed: seed of the permutations.

  Returns:
    int64 scalar, one of `records`.
  """
  num_videos = starts.shape[0] - 1
  elements_per_pass = num_videos // group_size * group_size
  # Permutations of neighbouring keys are similar, so the keys are random. Their seeds are negative
  # and differ from those of the elements, whose numbers are 0 or more.
  key = tf.random.stateless_uniform(
    [2], [seed, -1 - element // elements_per_pass], minval=None, maxval=None, dtype=tf.int64
  )
  video = tf.random.experimental.index_shuffle(
    element % elements_per_pass, key, num_videos - 1
  )
  return records[uniform_integer(uniform, starts[video], starts[video + 1] - 1)]


def uniform_integer(uniform: Tensor, low: Union[Tensor, int], high: Union[Tensor, int]) -> Tensor:
  """Maps a uniform random number to an integer in low..high, all equally probable.

  Args:
    uniform: float64 scalar in [0, 1).
    low: int64 scalar.
    high: int64 scalar, at least `low`; inclusive.

  Returns:
    int64 scalar.
  """
  count = tf.cast(high - low + 1, tf.float64)
  # The product can round up to `count`.
  return low + tf.cast(tf.minimum(tf.floor(uniform * count), count - 1), tf.int64)


def even_start(window: Tensor, num_windows: int, high: Tensor) -> Tensor:
  """Start of one of `num_windows` windows spread evenly over the starts 0..high.

  The first window starts at 0 and the last at `high`; a single window is in the middle.

  Args:
    window: int64 scalar, number of the window in 0..num_windows - 1.
    num_windows: number of windows.
    high: int64 scalar, the last start.

  Returns:
    int64 scalar.
  """
  if num_windows == 1:
    return high // 2
  share = tf.cast(window, tf.float64) / (num_windows - 1)
  return tf.cast(tf.floor(share * tf.cast(high, tf.float64) + 0.5), tf.int64)


def nearby_starts(
  center_sec: Tensor, max_offset_sec: float, window_sec: float, rate_hz: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
  """Range of starts of windows inside the clip whose centre is near a given time.

  Args:
    center_sec: float64 scalar, the given time.
    max_offset_sec: maximum distance of the centre of a window from it.
    window_sec: duration of a window.
    rate_hz: float64 scalar, unit of the starts.
    high: int64 scalar, the last start inside the clip; the first is 0.

  Returns:
    int64 scalars, the first and the last start. If no start is near enough, both are the nearest
    start.
  """
  middle = (center_sec - window_sec / 2) * rate_hz
  reach = max_offset_sec * rate_hz
  nearest = tf.floor(middle + 0.5)
  # The margin keeps a start that equals the limit up to rounding.
  first = tf.minimum(tf.math.ceil(middle - reach - 1e-6), nearest)
  last = tf.maximum(tf.floor(middle + reach + 1e-6), nearest)
  limits = tf.clip_by_value(tf.cast(tf.stack([first, last]), tf.int64), tf.zeros_like(high), high)
  return limits[0], limits[1]


def frame_offsets(num_frames: int, frame_rate_hz: float, stored_rate_hz: Tensor) -> Tensor:
  """Positions of the frames of a window, in stored frames relative to the first.

  Args:
    num_frames: number of frames.
    frame_rate_hz: rate of the frames.
    stored_rate_hz: float scalar, rate of the stored frames.

  Returns:
    int64 `[num_frames]`, the stored frame nearest to the time of each frame. Starts with 0; repeats
    stored frames if `frame_rate_hz` is higher than their rate.
  """
  step = tf.cast(stored_rate_hz, tf.float64) / frame_rate_hz
  # Round half up: rounding to even would space frames unevenly at a step of 1/2 or 3/2.
  return tf.cast(tf.floor(tf.range(num_frames, dtype=tf.float64) * step + 0.5), tf.int64)
