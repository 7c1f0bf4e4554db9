"""Tests of Parquet shards: the same rows as the NPZ file, atomic and resumable."""

import json
import os
from unittest import mock

import numpy as np
from absl.testing import absltest
from pyarrow import parquet

from avssl_tf.applications.embedding import (
  embed,
  embedding_file,
  embedding_shards,
  window_features,
)
from avssl_tf.errors import UserError
from tests import colour_encoder, media_variants


def read(folder):
  """All columns of a folder of shards as arrays, by name, and the metadata of the shards."""
  tables = [parquet.read_table(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
  columns = {}
  for name in embedding_file.ROWS:
    found = []
    for table in tables:
      column = table.column(name).combine_chunks()
      if name in window_features.NAMES:
        found.append(column.values.to_numpy().reshape(len(column), column.type.list_size))
      else:
        found.append(np.array(column.to_pylist()))
    columns[name] = np.concatenate(found)
  return columns, [table.schema.metadata[b"about"] for table in tables]


class EmbeddingShardsTest(media_variants.MediaTestCase):

  def setUp(self):
    super().setUp()
    self.media = os.path.join(self.folder, "media")
    os.mkdir(self.media)
    self.output = os.path.join(self.folder, "out.parquet")
    for i, name in enumerate(("a", "b", os.fsdecode(b"caf\xe9"), "d")):
      pictures = None
      if i % 2 == 0:
        pictures = [(k / 10, np.full((32, 48, 3), 40 * i, np.uint8)) for k in range(20)]
      sound = media_variants.sine(2.0, frequency_hz=400 * (i + 1))
      path = os.path.join(self.media, f"{name}.mkv")
      media_variants.write_media(path, pictures, sound, audio_codec="flac")

  def embed(self, output=None, **options):
    job = embed.Job(input=self.media, output=output or self.output, **options)
    job.check()
    return "\n".join(embed.run(colour_encoder.make(), "ckpt-7 01", "runs/colours", job))

  def test_the_rows_are_those_of_the_npz_file(self):
    of_file = os.path.join(self.folder, "out.npz")
    self.embed(of_file)
    # Two files (about 4 kB each) in a shard.
    with mock.patch.object(embedding_shards, "_SHARD_BYTES", 9000):
      told = self.embed()
    self.assertIn("8 windows of 4 file(s), 4 with video and 8 with audio", told)
    self.assertEqual(
      sorted(os.listdir(self.output)), [f"part-0000{i}-of-00002.parquet" for i in range(2)]
    )
    found, abouts = read(self.output)
    with np.load(of_file) as expected:
      for name in embedding_file.ROWS[1:]:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        self.assertEqual(found[name].dtype, expected[name].dtype, name)
      ids = [str(name).encode("utf-8", "backslashreplace").decode() for name in expected["id"]]
      self.assertEqual(found["id"].tolist(), ids)
      for about in abouts:
        self.assertEqual(json.loads(about), json.loads(str(expected["about"])))

  def test_an_interrupted_command_goes_on(self):
    write = embedding_shards.write

    def interrupted(task, monitor):
      if "00001-of" in task.path:
        raise KeyboardInterrupt
      return write(task, monitor)

    with mock.patch.object(embedding_shards, "_SHARD_BYTES", 9000):
      with mock.patch.object(embedding_shards, "write", interrupted):
        with self.assertRaises(KeyboardInterrupt):
          self.embed()
      self.assertFalse(os.path.exists(self.output))
      path = os.path.join(f"{self.output}.parts", "shards", "part-00000-of-00002.parquet")
      written_ns = os.stat(path).st_mtime_ns
      self.assertIn("4 of these file(s) had been embedded before", self.embed())
    kept = os.path.join(self.output, "part-00000-of-00002.parquet")
    self.assertEqual(os.stat(kept).st_mtime_ns, written_ns)
    self.assertFalse(os.path.exists(f"{self.output}.parts"))

  def test_only_shards_are_replaced(self):
    self.embed()
    with self.assertRaisesRegex(UserError, "out.parquet is a folder"):
      self.embed()
    self.embed(overwrite=True)
    with open(os.path.join(self.output, "thesis.txt"), "w", encoding="utf-8") as f:
      f.write("mine")
    with self.assertRaisesRegex(UserError, "contains 'thesis.txt'"):
      self.embed(overwrite=True)

  def test_without_pyarrow(self):
    with mock.patch.dict("sys.modules", {"pyarrow": None}):
      message = r"out.parquet requires pyarrow.*`pip install .\[ray\]`"
      with self.assertRaisesRegex(UserError, message):
        self.embed()


if __name__ == "__main__":
  absltest.main()
