"""Tests of embedding files: writing, reading, and refusing other files."""

import json
import os
import shutil
import tempfile
import unittest
from unittest import mock

import numpy as np

from avssl_tf.applications.embedding import embedding_file

_ABOUT = {"model_dir": "runs/a", "weights": "online"}


def _features(count, there):
  """Features of windows; those of `there` have audio."""
  rng = np.random.default_rng(count)
  found = {}
  for modality in ("video", "audio"):
    for kind, size in (("features", 4), ("embeddings", 2)):
      array = rng.normal(size=(count, size)).astype(np.float32)
      if modality == "audio":
        array[~np.array(there, bool)] = np.nan
      found[f"{modality}_{kind}"] = array
  return found


class EmbeddingFileTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)

  def path(self, name):
    return os.path.join(self.folder, name)

  def part(self, name, media_id, there):
    features = _features(len(there), there)
    spans = [(i, i + 1.5) for i in range(len(there))]
    rows = embedding_file.rows_of(media_id, spans, features)
    np.savez(self.path(name), **rows)
    return rows

  def test_parts_are_joined_in_order(self):
    # Names for which NumPy creates arrays of different dtypes.
    parts = [self.part("0.npz", "a.mp4", [1, 0]), self.part("1.npz", "ä/long name.wav", [1, 1, 0])]
    embedding_file.join(self.path("all.npz"), [self.path("0.npz"), self.path("1.npz")], _ABOUT)
    with np.load(self.path("all.npz")) as found:
      self.assertEqual(json.loads(str(found["about"])), {**_ABOUT, "format": 1})
      for name in embedding_file.ROWS:
        expected = np.concatenate([part[name] for part in parts])
        np.testing.assert_array_equal(found[name], expected)
    opened = embedding_file.EmbeddingFile.open(self.path("all.npz"))
    self.assertEqual(opened.ids.tolist(), ["a.mp4"] * 2 + ["ä/long name.wav"] * 3)
    self.assertEqual(opened.num_rows, 5)
    with mock.patch.object(embedding_file, "BLOCK_ROWS", 3):
      blocks = list(opened.blocks(["start_sec", "id", "video_features"]))
    self.assertEqual([block["start_sec"].tolist() for block in blocks], [[0, 1, 0], [1, 2]])
    self.assertEqual(blocks[1]["id"].tolist(), ["ä/long name.wav"] * 2)
    features = np.concatenate([block["video_features"] for block in blocks])
    np.testing.assert_array_equal(features, np.concatenate([p["video_features"] for p in parts]))
    rows, embeddings = opened.embeddings("audio")
    self.assertEqual(rows.tolist(), [0, 2, 3])
    self.assertEqual(embeddings.shape, (3, 2))
    self.assertFalse(np.isnan(embeddings).any())
    self.assertEqual(opened.embeddings("video")[0].tolist(), [0, 1, 2, 3, 4])

  def test_other_files_are_refused(self):
    np.savez(self.path("other.npz"), x=np.zeros(3))
    np.save(self.path("single.npy"), np.zeros(3))
    np.savez(self.path("objects.npz"), about=np.array([{}], object))
    for name, content in (("text", b"This is a text."), ("empty", b""), ("zip", b"PK\x03\x04...")):
      with open(self.path(name), "wb") as f:
        f.write(content)
    for name in ("other.npz", "single.npy", "objects.npz", "text", "empty", "zip"):
      with self.subTest(name), self.assertRaisesRegex(ValueError, f"{name} contains no embeddings"):
        embedding_file.EmbeddingFile.open(self.path(name))
    with self.assertRaisesRegex(FileNotFoundError, "no such file"):
      embedding_file.EmbeddingFile.open(self.path("nothing.npz"))

  def test_other_formats_and_empty_files(self):
    rows = embedding_file.rows_of("a.mp4", [], _features(0, []))
    np.savez(self.path("part.npz"), **rows)
    for about, words in (
      (_ABOUT, "contains no windows"),
      ({**_ABOUT, "format": 7}, "has format 7; this version reads format 1"),
      # Other content of another version is unknown.
      ({"format": 7}, "has format 7; this version reads format 1"),
      ({"model_dir": "runs/a"}, "contains no embeddings .*`about` does not contain weights"),
    ):
      embedding_file.join(self.path("all.npz"), [self.path("part.npz")], about)
      with self.assertRaisesRegex(ValueError, words):
        embedding_file.EmbeddingFile.open(self.path("all.npz"))


if __name__ == "__main__":
  unittest.main()
