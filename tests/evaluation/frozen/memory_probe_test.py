"""Tests of the memory bank probe, against slow implementations and constructed banks."""

import unittest
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.evaluation.frozen import memory_probe


def _unit(x):
  return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


class MemoryTest(parameterized.TestCase):

  @parameterized.parameters("consensus", "union", "video", "audio")
  def test_positive_sets_agree_with_a_slow_search(self, agreement):
    generator = np.random.RandomState(0)
    video, audio = _unit(generator.normal(size=(30, 5))), _unit(generator.normal(size=(30, 5)))
    queries = np.array([29, 3, *range(30)])
    sets = memory_probe.positive_sets(video, audio, queries, 4, agreement)
    combine = {
      "consensus": min, "union": max, "video": lambda v, a: v, "audio": lambda v, a: a
    }[agreement]
    for row, i in enumerate(queries):
      others = [j for j in range(30) if j != i]
      others.sort(key=lambda j: -combine(video[i] @ video[j], audio[i] @ audio[j]))
      self.assertEqual(list(sets[row]), others[:4])

  def test_positive_sets_of_several_blocks(self):
    generator = np.random.RandomState(2)
    video, audio = _unit(generator.normal(size=(30, 5))), _unit(generator.normal(size=(30, 5)))
    whole = memory_probe.positive_sets(video, audio, np.arange(30), 4)
    with mock.patch.object(memory_probe, "_BLOCK_SIZE", 28):
      # Repeated searches must not cause retracing warnings of TensorFlow.
      with mock.patch.object(tf.get_logger(), "warning") as warning:
        for _ in range(8):
          sets = memory_probe.positive_sets(video, audio, np.arange(30), 4)
          np.testing.assert_array_equal(sets, whole)
    warning.assert_not_called()

  def test_purity(self):
    sets = np.array([[1, 2], [0, 3], [3, 0], [2, 1]])
    # Pairs of known classes: 0-1 alike, 0-2 not, 1-0 alike, 2-0 not.
    labels = np.array([7, 7, 8, -1])
    self.assertEqual(memory_probe.purity(sets, np.arange(4), labels), 0.5)
    self.assertEqual(memory_probe.purity(sets[[1]], np.array([1]), labels), 1.0)
    with self.assertRaisesRegex(ValueError, "requires labels"):
      memory_probe.purity(sets, np.arange(4), np.full(4, -1))

  def test_faulty_positives(self):
    cosines = np.array([0.9, 0.1, 0.8, 0.3, 0.2])
    faulty = np.array([False, True, False, False, True])
    self.assertEqual(memory_probe.faulty_positive_auc(cosines, faulty), 1.0)
    self.assertEqual(memory_probe.faulty_positive_auc(-cosines, faulty), 0.0)
    # One of the six pairs of a faulty and a true one is in the wrong order.
    cosines[3] = 0.15
    self.assertAlmostEqual(memory_probe.faulty_positive_auc(cosines, faulty), 5 / 6)

  def test_probe_measures_what_is_known(self):
    generator = np.random.RandomState(1)
    labels = np.arange(40) % 4
    centres = _unit(generator.normal(size=(4, 6)))
    video = _unit(centres[labels] + 0.1 * generator.normal(size=(40, 6)))
    replaced = np.zeros(40, bool)
    replaced[:10] = True
    audio = video.copy()
    audio[:10] = -audio[:10]
    probe = memory_probe.MemoryProbe(num_positives=5)
    # A faulty video has 9 others of its class in each kind; 5 are enough if both agree.
    found = probe(video, audio, labels, replaced)
    self.assertEqual(set(found), {"purity_k5", "faulty_positive_auc"})
    self.assertEqual(found["faulty_positive_auc"], 1.0)
    self.assertGreater(found["purity_k5"], 0.7)
    self.assertEqual(set(probe(video, audio, labels)), {"purity_k5"})
    self.assertEqual(probe(video, audio, np.full(40, -1), np.zeros(40, bool)), {})
    # Too few videos for the sets.
    self.assertEqual(memory_probe.MemoryProbe(num_positives=40)(video, audio, labels), {})

  def test_looks_at_evenly_spaced_labelled_videos(self):
    generator = np.random.RandomState(2)
    rows = _unit(generator.normal(size=(12, 3)))
    labels = np.array([-1, 0] * 6)
    positive_sets = memory_probe.positive_sets
    with mock.patch.object(memory_probe, "positive_sets", wraps=positive_sets) as search:
      memory_probe.MemoryProbe(num_positives=2, max_queries=3)(rows, rows, labels)
    self.assertEqual(list(search.call_args.args[2]), [1, 5, 9])

  def test_refuses(self):
    with self.assertRaisesRegex(ValueError, "max_queries is 0"):
      memory_probe.MemoryProbe(max_queries=0)
    with self.assertRaisesRegex(ValueError, "agreement is 'mean'"):
      memory_probe.MemoryProbe(agreement="mean")
    with self.assertRaisesRegex(ValueError, "num_positives is 0"):
      memory_probe.MemoryProbe(num_positives=0)


if __name__ == "__main__":
  unittest.main()
