"""Tests of cutting signals into chunks and joining the processed chunks."""

import unittest

import numpy as np
from absl.testing import parameterized

from avssl_tf.applications import overlap_add


def _signal(length):
  return np.random.default_rng(length).normal(size=length).astype(np.float32)


def _joined(signal, length, make, block=7):
  """Applies `make` to the chunks of a signal and their numbers, and joins the results."""
  joiner = overlap_add.Joiner()
  blocks = [signal[i : i + block] for i in range(0, len(signal), block)]
  parts = [
    joiner.add(chunk.start, make(chunk, number))
    for number, chunk in enumerate(overlap_add.cut(blocks, length))
  ]
  return np.concatenate([*parts, joiner.finish()])


class OverlapAddTest(parameterized.TestCase):

  @parameterized.parameters(8, 9, 100)
  def test_every_sample_comes_back_to_the_last_bit(self, length):
    for total in (1, 5, 8, 9, 12, 13, 16, 40, 41, 47, 100, 1234):
      signal = _signal(total)
      found = _joined(signal, length, lambda chunk, _: chunk.samples[:, None] * [[1.0, 2.0]])
      np.testing.assert_array_equal(found[:total], np.stack([signal, 2 * signal], axis=-1))
      # A signal shorter than a chunk is padded with silence.
      self.assertEqual(len(found), max(total, length))
      np.testing.assert_array_equal(found[total:], 0)

  def test_chunks_overlap_by_half_and_the_last_one_ends_at_the_end(self):
    chunks = list(overlap_add.cut([_signal(27)], 8))
    self.assertEqual([chunk.start for chunk in chunks], [0, 4, 8, 12, 16, 19])
    for chunk in chunks:
      np.testing.assert_array_equal(chunk.samples, _signal(27)[chunk.start :][:8])

  def test_of_nothing_nothing_is_made(self):
    self.assertEqual(list(overlap_add.cut([], 8)), [])
    self.assertEqual(overlap_add.Joiner().finish().shape, (0, 0))

  def test_weights_are_hann_windows_that_sum_to_one(self):
    total, length = 96, 16
    number = len(list(overlap_add.cut([_signal(total)], length)))
    weights = _joined(
      _signal(total), length, lambda chunk, i: np.tile(np.eye(number)[i], (length, 1))
    )
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    periodic = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    for i in range(1, number - 1):
      start = i * length // 2
      np.testing.assert_allclose(weights[start : start + length, i], periodic, atol=1e-6)

  @parameterized.parameters(640, 645, 700)
  def test_there_are_no_clicks_where_chunks_contradict_each_other(self, total):
    length = 64
    signs = [1.0, -1.0]
    found = _joined(
      np.ones(total, np.float32), length, lambda chunk, i: np.full((length, 1), signs[i % 2])
    )
    # A hard cut would be a step of 2; this is the maximum slope of the window over half a chunk.
    self.assertLess(np.abs(np.diff(found[:, 0])).max(), 1.05 * np.pi / (length // 2))
    self.assertLess(found.min(), -0.99)

  def test_no_more_is_held_than_two_chunks(self):
    joiner = overlap_add.Joiner()
    for chunk in overlap_add.cut(iter(np.ones((5000, 3), np.float32)), 64):
      joiner.add(chunk.start, chunk.samples[:, None])
      self.assertLessEqual(len(joiner._held), 64)
      self.assertLess(len(chunk.samples.base), 200)


if __name__ == "__main__":
  unittest.main()
