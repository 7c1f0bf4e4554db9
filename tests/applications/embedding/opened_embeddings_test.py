"""Tests of reading Parquet shards, against the embedding file with the same rows."""

import os
import sys
import tempfile
from unittest import mock

import numpy as np
import pyarrow.parquet
from absl.testing import absltest

from avssl_tf.applications.embedding import (
  embedding_file,
  exact_search,
  index,
  opened_embeddings,
  search_index,
)
from tests.applications.embedding import embedding_arrays


class OpenedEmbeddingsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name
    self.content = embedding_arrays.make(100, 6)
    self.content["id"][-3:] = "films/a longer name, with \u00e4.mp4"
    self.file = embedding_arrays.write(self.path("all.npz"), self.content)
    self.shards = embedding_arrays.write_shards(self.path("all.parquet"), self.content, 3)

  def path(self, name):
    return os.path.join(self.folder, name)

  def test_rows_are_those_of_the_file(self):
    opened = opened_embeddings.open_embeddings(self.shards)
    self.assertEqual(opened.num_rows, 100)
    self.assertEqual(opened.about, embedding_arrays.ABOUT)
    with mock.patch.object(embedding_file, "BLOCK_ROWS", 10):
      blocks = list(opened.blocks(embedding_file.ROWS))
    self.assertLessEqual(max(len(block["id"]) for block in blocks), 10)
    for name in embedding_file.ROWS:
      found = np.concatenate([block[name] for block in blocks])
      np.testing.assert_array_equal(found, self.content[name])
      self.assertEqual(found.dtype.kind, self.content[name].dtype.kind)

  def test_search_and_indexes_are_those_of_the_file(self):
    query = self.content["audio_embeddings"][np.flatnonzero(self.content["has_audio"])[5]]
    found = []
    for number, path in enumerate((self.file, self.shards)):
      opened = opened_embeddings.open_embeddings(path)
      output = self.path(f"index{number}")
      index.run(index.Job(path, output))
      for searched in (exact_search.ExactSearch(opened), search_index.SearchIndex(output)):
        results = searched.nearest(query, "video", 7)
        found.append([(r.file, r.start_sec, round(r.similarity, 5)) for r in results])
    self.assertLen(found[0], 7)
    self.assertEqual(found[1:], found[:1] * 3)

  def test_which_paths_are_shards(self):
    paths = (self.shards, self.folder, self.file, "nothing")
    self.assertEqual([opened_embeddings.has_shards(p) for p in paths], [True, False, False, False])

  def test_damage(self):
    first, second = (self.path(f"all.parquet/part-0000{i}-of-00003.parquet") for i in (0, 1))
    table = pyarrow.parquet.read_table(second)
    for change, words in (
      (lambda: table.drop(["has_audio"]), "part-00001.*has_audio"),
      (lambda: table.replace_schema_metadata({"about": "{}"}), "00001-of.*its `about` differs"),
      (lambda: table.replace_schema_metadata({}), "part-00001.*damaged or not a shard"),
      (
        lambda: table.set_column(0, "id", pyarrow.array([None] * len(table), pyarrow.int32())),
        "column id contains int32; expected string",
      ),
      (
        lambda: table.set_column(0, "start_sec", pyarrow.array([None] * len(table), "double")),
        "part-00001",
      ),
    ):
      pyarrow.parquet.write_table(change(), second)
      with self.subTest(words), self.assertRaisesRegex(ValueError, words):
        list(opened_embeddings.EmbeddingShards(self.shards).blocks(["id"]))
    with open(first, "r+b") as f:
      f.truncate(100)
    with self.assertRaisesRegex(ValueError, "part-00000-of-00003.parquet is damaged or not a sh"):
      opened_embeddings.EmbeddingShards(self.shards)
    os.remove(first)
    with self.assertRaisesRegex(ValueError, "all.parquet contains 2 .*; expected all shards"):
      opened_embeddings.EmbeddingShards(self.shards)

  def test_nulls(self):
    path = self.path("all.parquet/part-00001-of-00003.parquet")
    table = pyarrow.parquet.read_table(path)
    place = table.column_names.index("has_video")
    nulls = pyarrow.array([None] * len(table), "bool")
    pyarrow.parquet.write_table(table.set_column(place, "has_video", nulls), path)
    opened = opened_embeddings.EmbeddingShards(self.shards)
    with self.assertRaisesRegex(ValueError, "part-00001.*it contains nulls"):
      list(opened.blocks(["has_video"]))

  def test_without_pyarrow(self):
    with mock.patch.dict(sys.modules, {"pyarrow": None, "pyarrow.parquet": None}):
      with self.assertRaisesRegex(ValueError, r"requires pyarrow.*pip install .\[ray\]"):
        opened_embeddings.EmbeddingShards(self.shards)


if __name__ == "__main__":
  absltest.main()
