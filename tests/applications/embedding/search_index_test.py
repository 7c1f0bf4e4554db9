"""Tests of searching indexes: the best windows of files, memory mapping, damage."""

import os
import shutil
import tempfile

import faiss
import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.applications.embedding import index, search_index
from tests.applications.embedding import embedding_arrays


class SearchIndexTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    faiss.omp_set_num_threads(1)  # See index_test.py.
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.folder = folder.name
    # Names that FAISS cannot open as they are.
    cls.index = os.path.join(cls.folder, os.fsdecode(b"\xffindex [1]"))
    cls.content = embedding_arrays.make(3_000, 8, per_file=100)
    source = embedding_arrays.write(os.path.join(cls.folder, "all.npz"), cls.content)
    index.run(index.Job(source, cls.index, kind="ivf_sq8", min_recall=1.0))

  @parameterized.product(modality=["video", "audio"], all_windows=[False, True], top=[3, 20])
  def test_finds_what_exact_search_finds(self, modality, all_windows, top):
    searched = search_index.SearchIndex(self.index)
    num_same = 0
    for query in self.content["video_embeddings"][::300]:
      expected = embedding_arrays.best_by_sorting(self.content, query, modality, top, all_windows)
      found = searched.nearest(query, modality, top, all_windows)
      self.assertEqual([r.rank for r in found], list(range(1, top + 1)))
      self.assertEqual([r.similarity for r in found], sorted(r.similarity for r in found)[::-1])
      if not all_windows:
        self.assertLen({r.file for r in found}, top)
      num_same += len({(r.file, r.start_sec) for r in found} & {e[:2] for e in expected})
    self.assertGreater(num_same, 0.9 * 10 * top)

  def test_more_results_than_there_are_near(self):
    # 100 windows per file: the nearest windows belong to few files, and all 30 files are found.
    searched = search_index.SearchIndex(self.index)
    found = searched.nearest(self.content["video_embeddings"][0], "video", 50)
    self.assertLen({r.file for r in found}, 30)
    self.assertLen(found, 30)
    found = searched.nearest(self.content["video_embeddings"][0], "video", 5_000, True)
    self.assertLen(found, 3_000)

  def test_files_are_mapped(self):
    searched = search_index.SearchIndex(self.index)
    searched.nearest(self.content["video_embeddings"][0], "video", 5)
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as f:
      mapped = {line.rpartition("/")[2].strip() for line in f if "index" in line}
    self.assertContainsSubset({"video.faiss", "file.npy", "start_sec.npy", "names.npy"}, mapped)

  @parameterized.parameters(
    ("index.json", b"", "is damaged"),
    ("index.json", b"{}", "has format None; this version reads format 1"),
    ("index.json", b'{"format": 1, "embeddings": {}, "indexes": {}}', "lacks the network"),
    ("video.faiss", b"IxF2 and more", "is damaged"),
    ("file.npy", b"", "is damaged"),
    ("video_rows.npy", None, "video_rows.npy"),
    ("index.json", None, "contains no index.json; expected a folder written completely"),
  )
  def test_damage(self, name, content, words):
    copy = os.path.join(self.folder, "copy")
    shutil.copytree(self.index, copy)
    self.addCleanup(shutil.rmtree, copy)
    os.remove(os.path.join(copy, name))
    if content is not None:
      with open(os.path.join(copy, name), "wb") as f:
        f.write(content)
    with self.assertRaisesRegex(ValueError, words):
      search_index.SearchIndex(copy)

  def test_rows_of_another_index(self):
    copy = os.path.join(self.folder, "copy")
    shutil.copytree(self.index, copy)
    self.addCleanup(shutil.rmtree, copy)
    np.save(os.path.join(copy, "audio_rows.npy"), np.zeros(3, np.int64))
    with self.assertRaisesRegex(ValueError, "audio_rows.npy and audio.faiss differ in length"):
      search_index.SearchIndex(copy)


if __name__ == "__main__":
  absltest.main()
