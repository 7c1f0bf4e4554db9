"""Tests of making search indexes: kinds, recall against exact search, and refusals."""

import json
import os
import sys
import tempfile
from unittest import mock

import faiss
import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.applications.embedding import (
  embedding_file,
  index,
  index_building,
  search_index,
)
from tests.applications.embedding import embedding_arrays


class IndexTest(parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # Threads of FAISS wait actively, which is slow where tests share the cores.
    faiss.omp_set_num_threads(1)
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.folder = folder.name
    # The queries are windows that are not in the index.
    windows = embedding_arrays.make(3_000, 16)
    are_queries = np.arange(3_000) % 23 == 0
    cls.queries = windows["audio_embeddings"][are_queries & windows["has_audio"]]
    cls.content = {
      name: array[~are_queries] if array.ndim else array for name, array in windows.items()
    }
    cls.embeddings = embedding_arrays.write(cls.path("all.npz"), cls.content)

  @classmethod
  def path(cls, name):
    return os.path.join(cls.folder, name)

  def make(self, name, **options):
    job = index.Job(**{"input": self.embeddings, "output": self.path(name), **options})
    job.check()
    self.printed = "\n".join(index.run(job))
    return search_index.SearchIndex(job.output)

  @parameterized.parameters("flat", "ivf_sq8", "ivf_pq")
  def test_recall(self, kind):
    searched = self.make(kind, kind=kind, overwrite=True)
    with open(self.path(f"{kind}/index.json"), encoding="utf-8") as f:
      described = json.load(f)
    self.assertEqual(described["embeddings"], embedding_arrays.ABOUT)
    for modality, settings in described["indexes"].items():
      shares = []
      for query in self.queries:
        expected = embedding_arrays.best_by_sorting(self.content, query, modality, 10, True)
        found = searched.nearest(query, modality, 10, all_windows=True)
        places = {(r.file, r.start_sec): r.similarity for r in found}
        same = [e for e in expected if e[:2] in places]
        shares.append(len(same) / 10)
        # The similarities are those of 8 or more bits.
        for *place, similarity in same:
          self.assertAlmostEqual(places[tuple(place)], similarity, delta=0.02)
      recall = float(np.mean(shares))
      if kind == "flat":
        self.assertEqual(recall, 1.0)
        self.assertIn(f"{modality}: {settings['rows']} embeddings, flat, exact.", self.printed)
      else:
        self.assertGreater(recall, 0.95)
        self.assertAlmostEqual(recall, min(settings["recall"].values()), delta=0.03)
        self.assertBetween(settings["nprobe"], 1, settings["nlist"] - 1)
        self.assertIn(f"{settings['recall']['audio']:.3f} (500 audio queries)", self.printed)

  def test_measured_recall_is_that_of_few_lists(self):
    with mock.patch.object(index_building, "_trials", lambda found, settings: [settings]):
      self.make("few", kind="ivf_sq8")
    with open(self.path("few/index.json"), encoding="utf-8") as f:
      settings = json.load(f)["indexes"]["video"]
    content = self.content["video_embeddings"]
    searched = faiss.read_index(self.path("few/video.faiss"))
    faiss.extract_index_ivf(searched).nprobe = 1
    true = np.argsort(-(self.queries @ content.T), axis=1)[:, :10]
    _, found = searched.search(self.queries, 10)
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(true, found)]
    self.assertLess(np.mean(shares), 0.9)
    self.assertAlmostEqual(np.mean(shares), settings["recall"]["audio"], delta=0.05)
    self.assertIn("This is below --min_recall=0.97: pass --kind=flat", self.printed)

  def test_equal_windows_do_not_count_as_missed(self):
    content = embedding_arrays.make(2_000, 8)
    for modality in ("video", "audio"):  # Files of ten equal windows; 300 windows of silence.
      rows = content[f"{modality}_embeddings"]
      rows[:] = np.repeat(np.nan_to_num(rows[::10], nan=0.3), 10, axis=0)
      rows[:300] = rows[0]
    content["has_audio"][:] = True
    source = embedding_arrays.write(self.path("equal.npz"), content)
    self.make("equal", input=source, kind="ivf_sq8", min_recall=1.0)
    with open(self.path("equal/index.json"), encoding="utf-8") as f:
      settings = json.load(f)["indexes"]["video"]
    self.assertGreater(min(settings["recall"].values()), 0.98)
    self.assertBetween(settings["num_queries"]["video"], 200, 499)

  def test_kind_by_size(self):
    kinds = [index_building.kind_for(n) for n in (1, 19_999, 20_000, 99_999, 100_000, 10**9)]
    self.assertEqual(kinds, ["flat", "flat", "ivf_sq8", "ivf_sq8", "ivf_pq", "ivf_pq"])
    for dim in (2, 15, 64):
      for kind in index_building.KINDS:
        described, nlist = index_building.factory(kind, 5_000, dim)
        made = faiss.index_factory(dim, described, faiss.METRIC_INNER_PRODUCT)
        lists = faiss.try_extract_index_ivf(made)
        self.assertEqual(lists.nlist if lists else 1, nlist)

  def test_a_modality_that_is_missing(self):
    content = embedding_arrays.make(50, 4, audio_share=0.0)
    source = embedding_arrays.write(self.path("silent.npz"), content)
    searched = self.make("silent", input=source)
    self.assertEqual([searched.has("video"), searched.has("audio")], [True, False])
    self.assertNotIn("audio", self.printed)

  def test_refusals(self):
    few = embedding_arrays.write(self.path("few.npz"), embedding_arrays.make(999, 4))
    os.mkdir(self.path("other"))
    with open(self.path("other/diary.txt"), "w", encoding="utf-8") as f:
      f.write("Dear diary")
    os.mkdir(self.path("done"))
    with open(self.path("done/index.json"), "w", encoding="utf-8") as f:
      f.write("{}")
    for options, words in (
      ({"output": self.path("done")}, "done already exists. Pass --overwrite"),
      ({"output": self.path("other"), "overwrite": True}, "contains 'diary.txt'"),
      ({"input": few, "kind": "ivf_pq"}, "has 999 video embeddings; expected at least 1000"),
      ({"input": "nothing.npz"}, "--input=nothing.npz: no such file"),
      ({"min_recall": 1.5}, "--min_recall=1.5; expected 0 to 1"),
    ):
      with self.subTest(words), self.assertRaisesRegex(ValueError, words):
        self.make(**{"name": "new", **options})
    self.assertFalse(os.path.exists(self.path("new")))
    self.assertEqual(os.listdir(self.path("other")), ["diary.txt"])

  def test_a_failure_leaves_no_files(self):
    with mock.patch.object(faiss, "write_index", side_effect=RuntimeError("No space left")):
      with self.assertRaisesRegex(ValueError, "video.faiss cannot be written: No space left"):
        self.make("failed", kind="flat")
    self.assertFalse(os.path.exists(self.path("failed")))

  def test_without_faiss(self):
    self.make("there", kind="flat")
    with mock.patch.dict(sys.modules, {"faiss": None}):
      for call in (lambda: self.make("no"), lambda: search_index.SearchIndex(self.path("there"))):
        with self.assertRaisesRegex(ValueError, "pip install faiss-cpu.*An embedding file as --in"):
          call()
      embedding_file.EmbeddingFile.open(self.embeddings)


if __name__ == "__main__":
  absltest.main()
