"""Tests of exact search in blocks, against sorting all windows."""

import os
import tempfile
import tracemalloc
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.applications.embedding import embedding_file, exact_search
from tests.applications.embedding import embedding_arrays


class ExactSearchTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.path = os.path.join(folder.name, "all.npz")

  def open(self, content):
    embedding_arrays.write(self.path, content)
    return exact_search.ExactSearch(embedding_file.EmbeddingFile.open(self.path))

  @parameterized.product(
    modality=["video", "audio"], all_windows=[False, True], top=[1, 7, 500], block=[9, 1000]
  )
  def test_against_sorting_all(self, modality, all_windows, top, block):
    content = embedding_arrays.make(200, 6)
    query = content["video_embeddings"][13]
    with mock.patch.object(embedding_file, "BLOCK_ROWS", block):
      found = self.open(content).nearest(query, modality, top, all_windows)
    expected = embedding_arrays.best_by_sorting(content, query, modality, top, all_windows)
    self.assertEqual([(r.file, r.start_sec) for r in found], [e[:2] for e in expected])
    np.testing.assert_allclose(
      [r.similarity for r in found], [similarity for *_, similarity in expected], atol=1e-6
    )
    self.assertEqual([r.rank for r in found], list(range(1, len(expected) + 1)))
    self.assertEqual([r.end_sec - r.start_sec for r in found], [2.0] * len(expected))

  def test_equal_windows_are_in_the_order_of_the_file(self):
    content = embedding_arrays.make(40, 4)
    content["video_embeddings"][:] = content["video_embeddings"][0]
    with mock.patch.object(embedding_file, "BLOCK_ROWS", 8):
      found = self.open(content).nearest(content["video_embeddings"][0], "video", 25, True)
    expected = [(str(content["id"][i]), content["start_sec"][i]) for i in range(25)]
    self.assertEqual([(r.file, r.start_sec) for r in found], expected)

  def test_memory_does_not_depend_on_the_number_of_windows(self):
    peaks = []
    for num_rows in (4_000, 40_000):
      searched = self.open(embedding_arrays.make(num_rows, 64))
      with mock.patch.object(embedding_file, "BLOCK_ROWS", 1_000):
        tracemalloc.start()
        searched.nearest(np.ones(64, np.float32) / 8, "video", 10)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    self.assertLess(peaks[1], 1.2 * peaks[0])
    self.assertLess(peaks[1], os.path.getsize(self.path) / 10)

  def test_modalities_that_are_there(self):
    searched = self.open(embedding_arrays.make(30, 4, audio_share=0.0))
    self.assertEqual([searched.has("video"), searched.has("audio")], [True, False])

  def test_damaged_embeddings(self):
    content = embedding_arrays.make(30, 4)
    content["video_embeddings"][17, 2] = np.nan
    with self.assertRaisesRegex(ValueError, "all.npz contains video embeddings that are not fin"):
      self.open(content).nearest(np.ones(4, np.float32), "video", 3)
    embedding_arrays.write(self.path, embedding_arrays.make(30, 4))
    with open(self.path, "rb") as f:
      whole = f.read()
    place = whole.index(content["video_embeddings"][:17].tobytes())
    with open(self.path, "wb") as f:
      f.write(whole[:place] + b"\0" * 8 + whole[place + 8 :])
    with self.assertRaisesRegex(ValueError, "all.npz is damaged .* 'video_embeddings': Bad CRC"):
      searched = exact_search.ExactSearch(embedding_file.EmbeddingFile.open(self.path))
      searched.nearest(np.ones(4, np.float32), "video", 3)


if __name__ == "__main__":
  absltest.main()
