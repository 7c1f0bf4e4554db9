"""Tests of retrieval against sorting, and of its behaviour on ties."""

import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.evaluation.frozen import retrieval
from avssl_tf.inference import features


def _unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _oracle(queries, gallery, k):
  """Sorts the gallery for each query; correct without ties."""
  found = 0
  for i, query in enumerate(queries):
    order = sorted(range(len(gallery)), key=lambda j: -np.dot(query, gallery[j]))  # noqa: B023
    found += i in order[:k]
  return found / len(queries)


class RetrievalTest(parameterized.TestCase):
  @parameterized.parameters(0.1, 1.0, 10.0)
  def test_agrees_with_sorting(self, noise):
    rng = np.random.default_rng(0)
    gallery = _unit(rng.normal(size=(60, 8)))
    queries = _unit(gallery + noise * rng.normal(size=(60, 8)))
    recalls = retrieval.recall_at_k(queries, gallery, ks=(1, 3, 10, 60))
    for k, recall in recalls.items():
      self.assertAlmostEqual(recall, _oracle(queries, gallery, k))

  def test_blocks_pair_rows_with_their_own(self):
    rng = np.random.default_rng(0)
    rows = _unit(rng.normal(size=(2500, 32)))
    self.assertEqual(retrieval.recall_at_k(rows, rows, ks=(1,)), {1: 1.0})

  @parameterized.parameters(7, 128)
  def test_constant_embeddings_score_at_chance(self, dim):
    rows = np.tile(_unit(np.random.default_rng(0).normal(size=dim)), (1000, 1))
    recalls = retrieval.recall_at_k(rows, rows)
    for k in (1, 5, 10):
      self.assertAlmostEqual(recalls[k], k / 1000)

  def test_ties_count_by_expectation(self):
    # Clips come in groups of 4 with one embedding each: 1, 3 or all of a group fit among the first.
    rows = np.repeat(np.eye(5), 4, axis=0)
    recalls = retrieval.recall_at_k(rows, rows, ks=(1, 3, 4, 6))
    for k, expected in {1: 0.25, 3: 0.75, 4: 1.0, 6: 1.0}.items():
      self.assertAlmostEqual(recalls[k], expected)

  def test_directions(self):
    # Video 0 is nearest to both audio rows; each video is nearest to its own audio.
    video = np.array([[1.0, 0.0], [0.0, 1.0]])
    audio = _unit(np.array([[1.0, 0.1], [1.0, 0.9]]))
    result = retrieval.cross_modal(video, audio, ks=(1,))
    self.assertEqual(result, {"audio_to_video_r1": 0.5, "video_to_audio_r1": 1.0, "r1": 0.75})

  def test_the_gallery_stands_for_all_clips(self):
    rng = np.random.default_rng(0)
    video, audio = _unit(rng.normal(size=(30, 4))), _unit(rng.normal(size=(30, 4)))
    numbers = np.arange(30)
    test = features.Features(
      numbers // 10, numbers, numbers, video_embeddings=video, audio_embeddings=audio
    )
    protocol = retrieval.Retrieval(gallery_size=10)
    for is_shuffled, searched in ((True, slice(10)), (False, slice(0, 30, 3))):
      expected = retrieval.cross_modal(video[searched], audio[searched])
      found = protocol.scores(test, "test", is_shuffled)
      self.assertEqual(found, {f"retrieval_{name}": value for name, value in expected.items()})

  def test_rejects_bad_input(self):
    with self.assertRaisesRegex(ValueError, "row i with row i"):
      retrieval.recall_at_k(np.eye(3), np.eye(3)[:2])
    with self.assertRaisesRegex(ValueError, "not finite"):
      retrieval.recall_at_k(np.eye(3) * np.nan, np.eye(3))


if __name__ == "__main__":
  absltest.main()
