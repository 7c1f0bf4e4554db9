"""Tests of the list of checkpoints of a folder."""

import os
import shutil
import tempfile
import unittest
from unittest import mock

import tensorflow as tf

from avssl_tf import checkpoint_files


class CheckpointFilesTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)
    self.run = os.path.join(self.folder, "run")
    self.victim = os.path.join(self.folder, "victim")
    self.variable = tf.Variable(0.0)
    self.checkpoint = tf.train.Checkpoint(variable=self.variable)

  def save(self, folder, *numbers, max_to_keep=2):
    manager = tf.train.CheckpointManager(self.checkpoint, folder, max_to_keep)
    for number in numbers:
      self.variable.assign(float(number))
      manager.save(checkpoint_number=number)

  def write_state(self, text, mode="w"):
    with open(os.path.join(self.run, "checkpoint"), mode) as f:
      f.write(text)

  def names(self, folder=None):
    return [os.path.basename(path) for path in checkpoint_files.listed(folder or self.run)]

  def test_no_folder_and_no_list(self):
    self.assertEqual(checkpoint_files.listed(self.run), [])
    self.assertIsNone(checkpoint_files.latest(self.run))

  def test_newest_last(self):
    self.save(self.run, 2, 4)
    expected = [os.path.join(self.run, name) for name in ("ckpt-2", "ckpt-4")]
    self.assertEqual(checkpoint_files.listed(self.run), expected)
    self.assertEqual(checkpoint_files.latest(self.run), tf.train.latest_checkpoint(self.run))

  def test_checkpoints_elsewhere_are_neither_read_nor_deleted(self):
    self.save(self.victim, 1, 2)
    self.save(self.run, 7)
    before = sorted(os.listdir(self.victim))
    for place in (self.victim, "../victim"):
      with self.subTest(place):
        self.write_state(
          f'model_checkpoint_path: "{place}/ckpt-2"\n'
          'all_model_checkpoint_paths: "ckpt-7"\n'
          f'all_model_checkpoint_paths: "{place}/ckpt-1"\n'
          f'all_model_checkpoint_paths: "{place}/ckpt-2"\n'
          "all_model_checkpoint_timestamps: 1.0\nall_model_checkpoint_timestamps: 2.0\n"
          "all_model_checkpoint_timestamps: 3.0\n"
          "last_preserved_timestamp: 0.5\n"
        )
        self.assertEqual(self.names(), ["ckpt-7"])
        manager = checkpoint_files.manager(self.checkpoint, self.run, 1)
        manager.save(checkpoint_number=9)
        self.assertEqual(sorted(os.listdir(self.victim)), before)
        self.assertEqual(self.names(), ["ckpt-9"])
        self.assertFalse(os.path.exists(os.path.join(self.run, "ckpt-7.index")))
        self.save(self.run, 7)

  def test_list_of_foreign_checkpoints_alone(self):
    self.save(self.victim, 1)
    os.mkdir(self.run)
    self.write_state(
      f'model_checkpoint_path: "{self.victim}/ckpt-1"\n'
      f'all_model_checkpoint_paths: "{self.victim}/ckpt-1"\n'
      "all_model_checkpoint_timestamps: 1.0\nlast_preserved_timestamp: 0.5\n"
    )
    with self.assertLogs("absl", "WARNING") as logs:
      self.assertIsNone(checkpoint_files.latest(self.run))
    self.assertIn(os.path.join(self.run, "checkpoint"), "".join(logs.output))
    checkpoint_files.manager(self.checkpoint, self.run, 1).save(checkpoint_number=3)
    self.assertTrue(os.path.exists(os.path.join(self.victim, "ckpt-1.index")))
    self.assertEqual(self.names(), ["ckpt-3"])

  def test_folder_that_was_moved(self):
    self.save(self.run, 2, 4)
    old = os.path.join(self.folder, "old", "place")
    self.write_state(
      f'model_checkpoint_path: "{old}/ckpt-4"\n'
      f'all_model_checkpoint_paths: "{old}/ckpt-2"\nall_model_checkpoint_paths: "{old}/ckpt-4"\n'
    )
    self.assertEqual(self.names(), ["ckpt-2", "ckpt-4"])
    manager = checkpoint_files.manager(self.checkpoint, self.run, 2)
    manager.save(checkpoint_number=6)
    self.assertEqual(self.names(), ["ckpt-4", "ckpt-6"])
    self.assertFalse(os.path.exists(os.path.join(self.run, "ckpt-2.index")))

  def test_names_that_are_no_checkpoints(self):
    self.save(self.run, 2)
    for name in ("thesis", "*", ".."):
      for ending in (".index", ".data-00000-of-00001"):
        with open(os.path.join(self.run, f"{name}{ending}"), "w", encoding="utf-8") as f:
          f.write("work")
    before = sorted(os.listdir(self.run))
    self.write_state(
      'model_checkpoint_path: "ckpt-2"\nall_model_checkpoint_paths: "thesis"\n'
      'all_model_checkpoint_paths: "*"\nall_model_checkpoint_paths: ".."\n'
      'all_model_checkpoint_paths: "ckpt-2"\n'
    )
    self.assertEqual(self.names(), ["ckpt-2"])
    checkpoint_files.manager(self.checkpoint, self.run, 2).save(checkpoint_number=4)
    self.assertLess(set(before), set(os.listdir(self.run)))

  def test_newest_one_is_not_there(self):
    self.save(self.run, 2, 4)
    os.remove(os.path.join(self.run, "ckpt-4.index"))
    with self.assertLogs("absl", "WARNING") as logs:
      self.assertEqual(self.names(), ["ckpt-2"])
    self.assertIn("'ckpt-4'", "".join(logs.output))

  def test_damaged_list(self):
    self.save(self.run, 8, 10)
    for content in (b"", b"\0" * 20, b"\xff\xfe", b"{"):
      with self.subTest(content):
        self.write_state(content, "wb")
        self.assertEqual(self.names(), ["ckpt-8", "ckpt-10"])

  def test_list_through_a_link_is_not_written_through_it(self):
    self.save(self.run, 2)
    elsewhere = os.path.join(self.folder, "note.txt")
    with open(elsewhere, "w", encoding="utf-8") as f:
      f.write("note")
    os.remove(os.path.join(self.run, "checkpoint"))
    os.symlink(elsewhere, os.path.join(self.run, "checkpoint"))
    checkpoint_files.manager(self.checkpoint, self.run, 1).save(checkpoint_number=4)
    with open(elsewhere, encoding="utf-8") as f:
      self.assertEqual(f.read(), "note")

  def test_damaged_newest_one_is_passed_over(self):
    data = "ckpt-4.data-00000-of-00001"
    for name in (data, "ckpt-4.index"):
      for damage in ("cut", "empty", "zeros", "flip"):
        with self.subTest(f"{name} {damage}"):
          shutil.rmtree(self.run, ignore_errors=True)
          self.save(self.run, 2, 4)
          _damage(os.path.join(self.run, name), damage)
          with self.assertLogs("absl", "WARNING") as logs:
            checkpoint_files._warn_once.cache_clear()
            path = checkpoint_files.latest_whole(self.run)
          self.assertEqual(os.path.basename(path), "ckpt-2")
          warning = r"ckpt-4 is damaged \(.+\).*ckpt-2 is used instead"
          self.assertRegex("".join(logs.output), warning)
    os.remove(os.path.join(self.run, data))
    self.assertEqual(os.path.basename(checkpoint_files.latest_whole(self.run)), "ckpt-2")

  def test_all_are_damaged(self):
    self.assertIsNone(checkpoint_files.latest_whole(self.run))
    self.save(self.run, 2, 4)
    for number in (2, 4):
      _damage(os.path.join(self.run, f"ckpt-{number}.index"), "cut")
    message = r"ckpt-4 is damaged.*ckpt-2 is damaged.*there is no intact checkpoint"
    with self.assertRaisesRegex(checkpoint_files.DamagedError, message):
      checkpoint_files.latest_whole(self.run)

  def test_only_the_part_that_is_needed_is_read(self):
    self.checkpoint.other = tf.Variable(tf.zeros([64]))
    self.save(self.run, 4)
    path = checkpoint_files.latest(self.run)
    zeros_at = os.path.join(self.run, "ckpt-4.data-00000-of-00001")
    with open(zeros_at, "r+b") as f:
      f.seek(f.read().index(bytes(256)) + 7)
      f.write(b"x")
    self.assertIsNone(checkpoint_files.damage(path, "variable/"))
    self.assertIn("hecksum", checkpoint_files.damage(path))

  def test_damaged_ones_are_deleted_first(self):
    self.save(self.run, 2, 4)
    _damage(os.path.join(self.run, "ckpt-4.index"), "empty")
    newest = checkpoint_files.latest_whole(self.run)
    manager = checkpoint_files.manager(self.checkpoint, self.run, 2, newest=newest)
    manager.save(checkpoint_number=3)
    self.assertEqual(self.names(), ["ckpt-2", "ckpt-3"])
    self.assertFalse(os.path.exists(os.path.join(self.run, "ckpt-4.index")))

  def test_the_newer_one_is_on_the_disk_before_the_older_one_goes(self):
    manager = checkpoint_files.manager(self.checkpoint, self.run, 1)
    manager.save(checkpoint_number=1)
    synced = []

    def sync(path):
      synced.append(os.path.basename(path))
      self.assertTrue(os.path.exists(os.path.join(self.run, "ckpt-1.index")))

    with mock.patch.object(checkpoint_files.files, "sync", sync):
      manager.save(checkpoint_number=2)
    self.assertEqual(synced, ["ckpt-2.data-00000-of-00001", "ckpt-2.index", "run"])
    self.assertFalse(os.path.exists(os.path.join(self.run, "ckpt-1.index")))


def _damage(path, kind):
  with open(path, "rb") as f:
    content = f.read()
  middle = len(content) // 2
  damaged = {
    "cut": content[:middle],
    "empty": b"",
    "zeros": bytes(len(content)),
    "flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
  }
  with open(path, "wb") as f:
    f.write(damaged[kind])


if __name__ == "__main__":
  unittest.main()
