"""Tests of the random order of records, which makes a slice of a split a random sample."""

import contextlib
import dataclasses
import io
import os
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf.data.building import build as build_lib
from avssl_tf.data.building import demo, finish
from avssl_tf.data.building.build import build
from avssl_tf.data.records import encoding
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.synthetic.planar import PlanarWorld
from tests.data.building import build_case, fake_source
from tests.data.building.build_case import GOOD, all_bytes

_CLASSES = ("bell", "drum", "horn", "voice")
_FILES_OF_A_CLASS = 50


def _by_class(directory):
  """A recipe whose files are listed class by class, like those of class folders."""
  requests = []
  for label in _CLASSES:
    for number in range(_FILES_OF_A_CLASS):
      path = os.path.join(directory, f"{label}{number:02d}")
      with open(path, "w", encoding="utf-8") as f:
        f.write("1.0")
      requests.append(ClipRequest("train", path, None, None, (label,), f"{label}/{number:02d}"))
  return fake_source.recipe(
    directory, requests=requests, label_names=_CLASSES, spectrogram=None, shuffle=True
  )


class OrderTest(build_case.BuildCase):
  def recipe(self, shuffle=True, **changes):
    return fake_source.recipe(self.inputs, shuffle=shuffle, **changes)

  def output_of(self, function):
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
      function()
    return stream.getvalue()

  def begin(self, recipe):
    """Interrupts a build after all clips are encoded."""
    killed = mock.patch.object(finish, "write_final_shards", side_effect=KeyboardInterrupt)
    with killed, self.assertRaises(KeyboardInterrupt):
      build(recipe, self.output, 0)

  def test_slices_hold_every_class_in_its_share(self):
    recipe = _by_class(self.new_folder())
    info = build(recipe, self.output, 0).info
    total = len(_CLASSES) * _FILES_OF_A_CLASS
    self.assertCountEqual(
      info.records("train").ids, [f"{request.media_id}@0.000" for request in recipe.requests]
    )
    for split in ("train[:60]", "train[60:120]", "train[140:]"):
      labels = info.records(split).labels
      counts = np.bincount(labels, minlength=len(_CLASSES))
      # The expected number of each is 15 of 60, with a standard deviation of about 3.
      self.assertGreaterEqual(counts.min(), 6, split)
      self.assertLessEqual(counts.max(), 24, split)
    found = [
      encoding.read_index(record)
      for shard in info.shards("train")
      for record in encoding.read_file(os.path.join(self.output, shard.file))
    ]
    self.assertEqual(found, list(range(total)))
    self.assertTrue(info.is_shuffled)
    self.assertTrue(DatasetInfo.load(self.output).is_shuffled)

  def test_the_same_bytes_resumed_and_in_processes(self):
    expected = self.reference(shuffle=True)
    self.assertNotEqual(expected, self.reference())
    self.begin(self.recipe())
    build(self.recipe(), self.output, 0)
    self.assertEqual(all_bytes(self.output), expected)
    other = self.new_folder()
    build(self.recipe(), other, 2)
    self.assertEqual(all_bytes(other), expected)

  def test_retried_failures_leave_no_trace(self):
    expected = self.reference(shuffle=True)
    self.break_files()
    build(self.recipe(), self.output, 0, 0.9)
    self.assertNotEqual(all_bytes(self.output), expected)
    fake_source.write_files(self.inputs, GOOD)
    with mock.patch.object(
      fake_source.FakeReader, "read", autospec=True, side_effect=fake_source.FakeReader.read
    ) as read:
      build(self.recipe(), self.output, 0, retry_failed=True)
    self.assertEqual(read.call_count, 3 + 1 + 1)
    self.assertEqual(all_bytes(self.output), expected)

  def test_what_an_earlier_version_began_keeps_its_order(self):
    # Its recipes had no setting for the order.
    self.begin(self.recipe(shuffle=False))
    with mock.patch.object(fake_source.FakeReader, "read", side_effect=AssertionError):
      text = self.output_of(lambda: build(self.recipe(), self.output, 0))
    self.assertIn("order of the source. This order is kept", text)
    self.assertIn("--overwrite", text)
    self.assertEqual(all_bytes(self.output), self.reference())
    self.assertFalse(DatasetInfo.load(self.output).is_shuffled)
    self.assertTrue(build(self.recipe(), self.output, 0).was_complete)
    text = self.output_of(lambda: build(self.recipe(), self.output, 0, overwrite=True))
    self.assertNotIn("order of the source", text)
    self.assertEqual(all_bytes(self.output), self.reference(shuffle=True))

  def test_what_an_earlier_version_began_keeps_its_shards(self):
    # Its recipes had no limit on the clips of a shard.
    self.begin(self.recipe())
    limited = self.recipe(max_shard_clips=1)
    build(limited, self.output, 0)
    self.assertEqual(all_bytes(self.output), self.reference(shuffle=True))
    info = build(limited, self.output, 0, overwrite=True).info
    self.assertEqual({len(shard.offsets) for shard in info.shards("train")}, {1})
    with self.assertRaisesRegex(build_lib.BuildError, "max_shard_clips: 1 -> 2"):
      build(self.recipe(max_shard_clips=2), self.output, 0)

  def test_other_changes_are_refused_all_the_same(self):
    self.begin(self.recipe(shuffle=False))
    with self.assertRaisesRegex(build_lib.BuildError, "num_shards: 3 -> 2"):
      build(self.recipe(num_shards=2), self.output, 0)

  def test_demo_worlds_are_samples_already(self):
    world = PlanarWorld(num_train=4, num_test=2)
    recipe = demo.recipe(world)
    self.assertFalse(recipe.shuffle)
    self.assertNotIn("shuffle", recipe.settings())
    info = build(dataclasses.replace(recipe, spectrogram=None), self.output, 0).info
    self.assertNotIn("shuffle", info.build)
    self.assertTrue(info.is_shuffled)


if __name__ == "__main__":
  tf.test.main()
