import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import draws
from tests import test_base


def _stream(sampling, num_records, num_elements, seed=0):
  """Positions of the first records of a stream."""

  def draw(element):
    uniform = tf.random.stateless_uniform([], [seed, element], dtype=tf.float64)
    return draws.draw_record(uniform, element, num_records, seed, sampling)

  elements = tf.data.Dataset.range(num_elements).map(draw).batch(num_elements)
  return next(iter(elements)).numpy()


class DrawRecordTest(test_base.TestCase):
  def test_independent_draws_are_uniform(self):
    drawn = _stream("independent", 10, 4000)
    counts = np.bincount(drawn, minlength=10)
    self.assertLen(counts, 10)
    # Five standard deviations of a binomial count.
    self.assertAllInRange(counts, 400 - 5 * 19, 400 + 5 * 19)

  def test_independent_draws_repeat_within_a_pass(self):
    self.assertLess(len(set(_stream("independent", 50, 50))), 45)

  def test_shuffle_shows_each_record_once_a_pass(self):
    passes = _stream("shuffle", 23, 3 * 23).reshape(3, 23)
    self.assertAllEqual(np.sort(passes, axis=1), np.tile(np.arange(23), (3, 1)))
    self.assertNotAllEqual(passes[0], passes[1])
    self.assertNotAllEqual(passes[1], passes[2])

  def test_depends_on_the_seed_alone(self):
    for sampling in ("independent", "shuffle"):
      with self.subTest(sampling):
        self.assertAllEqual(_stream(sampling, 9, 40, seed=3), _stream(sampling, 9, 40, seed=3))
        self.assertNotAllEqual(_stream(sampling, 9, 40, seed=3), _stream(sampling, 9, 40, seed=4))


class WindowTest(test_base.TestCase):
  def test_uniform_integer_covers_both_ends(self):
    below_one = np.nextafter(1.0, 0.0)
    low, high = tf.constant(3, tf.int64), tf.constant(7, tf.int64)
    found = [draws.uniform_integer(u, low, high).numpy() for u in (0.0, 0.19, 0.2, below_one)]
    self.assertEqual(found, [3, 3, 4, 7])

  def test_uniform_integer_stays_below_the_end_of_long_ranges(self):
    high = tf.constant(2**53, tf.int64)
    self.assertLessEqual(draws.uniform_integer(np.nextafter(1.0, 0.0), 0, high), high)

  def test_even_start(self):
    high = tf.constant(10, tf.int64)
    for num_windows, expected in ((1, [5]), (2, [0, 10]), (3, [0, 5, 10]), (5, [0, 3, 5, 8, 10])):
      windows = [draws.even_start(tf.constant(w), num_windows, high) for w in range(num_windows)]
      self.assertAllEqual(windows, expected)

  def test_nearby_starts_against_a_search(self):
    for _ in range(200):
      rate_hz, window_sec = self.rng.choice([8.0, 16.0, 29.97]), self.rng.uniform(0.1, 2.0)
      high, offset_sec = int(self.rng.integers(0, 60)), self.rng.uniform(0.0, 1.0)
      center_sec = self.rng.uniform(0.0, 6.0)
      starts = np.arange(high + 1)
      distances_sec = np.abs(starts / rate_hz + window_sec / 2 - center_sec)
      near = starts[distances_sec <= offset_sec]
      if not near.size:
        near = starts[[np.argmin(distances_sec)]]
      found = draws.nearby_starts(
        tf.constant(center_sec, tf.float64),
        offset_sec,
        window_sec,
        tf.constant(rate_hz, tf.float64),
        tf.constant(high, tf.int64),
      )
      self.assertAllEqual(found, [near[0], near[-1]])

  def test_nearby_starts_keeps_the_limits_in_spite_of_rounding(self):
    # 0.7 - 0.1 - 0.5 is a little less than 0.1 in floating point.
    found = draws.nearby_starts(
      tf.constant(0.7, tf.float64),
      0.1,
      1.0,
      tf.constant(10.0, tf.float64),
      tf.constant(9, tf.int64),
    )
    self.assertAllEqual(found, [1, 3])

  def test_frame_offsets(self):
    for wanted_hz, stored_hz, expected in (
      (16.0, 16.0, [0, 1, 2, 3, 4]),
      (8.0, 16.0, [0, 2, 4, 6, 8]),
      (10.0, 15.0, [0, 2, 3, 5, 6]),
      (32.0, 16.0, [0, 1, 1, 2, 2]),
    ):
      self.assertAllEqual(draws.frame_offsets(5, wanted_hz, stored_hz), expected)


class AgeOfRowsTest(test_base.TestCase):
  """The age of the rows of the memory bank must carry no information.

  The age of a row is the number of steps since its record was last drawn. If positives and
  negatives differ in age, a network can find the positive without using its content.
  """

  def _auc(self, sampling):
    stream = _stream(sampling, num_records=256, num_elements=8 * 400).reshape(-1, 8)
    return age_auc(stream, num_records=256, rng=self.rng)

  def test_independent_draws_hide_the_age(self):
    self.assertNear(self._auc("independent"), 0.5, 0.03)

  def test_shuffling_gives_the_age_away(self):
    # In theory 3/4: the positive was drawn one whole pass ago on average. A random row was already
    # drawn in this pass with probability 1/2 on average, and is then certainly younger.
    self.assertNear(self._auc("shuffle"), 0.75, 0.04)


def age_auc(stream, num_records, rng):
  """How well the age of a row alone distinguishes the positive from uniformly drawn negatives.

  Args:
    stream: int `[steps, batch]`, the records drawn.
    num_records: number of rows in the bank.
    rng: generator that draws the negatives.

  Returns:
    Probability that the positive is older than a negative, ties counted half, over the second
    half of the steps.
  """
  drawn_at = np.full(num_records, -1)
  scores = []
  for step, records in enumerate(stream):
    if step >= len(stream) // 2:
      # Uniform over all rows except the positive.
      shift = rng.integers(1, num_records, size=(64, len(records)))
      difference = drawn_at[(records + shift) % num_records] - drawn_at[records]
      scores.append(np.mean((difference > 0) + 0.5 * (difference == 0)))
    drawn_at[records] = step
  return np.mean(scores)


if __name__ == "__main__":
  tf.test.main()
