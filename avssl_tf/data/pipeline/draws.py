"""What a data set shows of its records: which record, which sound, which frames.

Pure functions. Random ones take numbers drawn by the caller, uniform in [0, 1).
"""

from typing import Union

import tensorflow as tf

from avssl_tf.keys import Tensor

VIDEO_SAMPLING = "video"
SAMPLINGS = ("independent", "shuffle", VIDEO_SAMPLING)


def draw_record(
  uniform: Tensor, element: Tensor, num_records: int, seed: int, sampling: str
) -> Tensor:
  """Number of the record that an element of the training stream shows.

  Args:
    uniform: float64 scalar in [0, 1), the element's own random number.
    element: int64 scalar, number of the element in the stream.
    num_records: number of records to choose from.
    seed: of the permutations of `"shuffle"`.
    sampling: `"independent"`, or `"shuffle"`: a new permutation each pass.

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
  """Number of the record that an element of a stream shows that draws videos, then clips.

  Elements g of a group, `group_size * n <= g < group_size * (n + 1)`, show different videos. In a
  pass of V // group_size groups no video comes twice; those that a pass leaves out are others in
  each. Of a video, all clips are equally probable, however many it has.

  Args:
    uniform: float64 scalar in [0, 1), the element's own random number.
    element: int64 scalar, number of the element in the stream.
    records: as of `SourceVideos`.
    starts: int64 `[V + 1]`, as of `SourceVideos`.
    group_size: elements of a group, at most V.
    seed: of the permutations.

  Returns:
    int64 scalar, one of `records`.
  """
  num_videos = starts.shape[0] - 1
  elements_per_pass = num_videos // group_size * group_size
  # Permutations of neighbouring keys resemble each other: keys are random. Numbers of elements are
  # 0 or more, so that none has the same seed.
  key = tf.random.stateless_uniform(
    [2], [seed, -1 - element // elements_per_pass], minval=None, maxval=None, dtype=tf.int64
  )
  video = tf.random.experimental.index_shuffle(
    element % elements_per_pass, key, num_videos - 1
  )
  return records[uniform_integer(uniform, starts[video], starts[video + 1] - 1)]


def uniform_integer(uniform: Tensor, low: Union[Tensor, int], high: Union[Tensor, int]) -> Tensor:
  """A whole number in low..high, all equally probable.

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

  The first window starts at 0 and the last at `high`; a single one lies in the middle.

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
  """Starts of the windows whose centre is near a given time and that lie inside the clip.

  Args:
    center_sec: float64 scalar, the given time.
    max_offset_sec: how far the centre of a window may be from it.
    window_sec: duration of a window.
    rate_hz: float64 scalar, rate at which starts are counted.
    high: int64 scalar, the last start inside the clip; the first is 0.

  Returns:
    int64 scalars, the first and the last start. Where no start is near enough, both are the
    nearest one.
  """
  middle = (center_sec - window_sec / 2) * rate_hz
  reach = max_offset_sec * rate_hz
  nearest = tf.floor(middle + 0.5)
  # The margin keeps a start that lies on the limit but for rounding.
  first = tf.minimum(tf.math.ceil(middle - reach - 1e-6), nearest)
  last = tf.maximum(tf.floor(middle + reach + 1e-6), nearest)
  limits = tf.clip_by_value(tf.cast(tf.stack([first, last]), tf.int64), tf.zeros_like(high), high)
  return limits[0], limits[1]


def frame_offsets(num_frames: int, frame_rate_hz: float, stored_rate_hz: Tensor) -> Tensor:
  """Positions of the frames of a window, in stored frames from its first one.

  Args:
    num_frames: frames wanted.
    frame_rate_hz: rate wanted.
    stored_rate_hz: float scalar, rate of the stored frames.

  Returns:
    int64 `[num_frames]`, the nearest stored frame to each wanted time; starts with 0, repeats
    frames where the rate wanted is the higher one.
  """
  step = tf.cast(stored_rate_hz, tf.float64) / frame_rate_hz
  # Rounding half up, not to even, which would space frames unevenly at a step of 1/2 or 3/2.
  return tf.cast(tf.floor(tf.range(num_frames, dtype=tf.float64) * step + 0.5), tf.int64)
