"""Tests of file names: addresses, patterns, bytes that are not text, and accents."""

import contextlib
import os
import tempfile
import unicodedata
import unittest

import tensorflow as tf
from absl import flags

from avssl_tf import checkpoint_files, local_paths

_ODD = ("lr=[0.1]", "b?*", "back\\slash", "{a,b}", os.fsdecode(b"caf\xe9"), "two\nlines", "a:b")


class AddressTest(unittest.TestCase):

  def test_addresses(self):
    for text in ("gs://b/x", "S3://b", "hdfs://h:1/x", "file:///tmp/x", " gs://b", "a+b.c-d://"):
      with self.subTest(text), self.assertRaisesRegex(
        local_paths.PathError, "^--output=.*local path.*mounted"
      ):
        local_paths.check(text, "--output")

  def test_paths(self):
    for text in ("data", "/data", "12:30.mp4", "a:/b", "C:\\x", "x/gs://b", "", "://", "1a://b"):
      with self.subTest(text):
        self.assertEqual(local_paths.check(text, "--output"), text)

  def test_values_in_containers(self):
    local_paths.check_values("f.x", {"a": ["b", 1, None]})
    with self.assertRaisesRegex(local_paths.PathError, r"f.x\['a'\]=gs://b: "):
      local_paths.check_values("f.x", {"a": ("c", "gs://b")})

  def test_flags(self):
    values = flags.FlagValues()
    local_paths.define_flag("one", None, "One.", values)
    local_paths.define_multi_flag("many", [], "Many.", values)
    values(["", "--one=a[1]", "--many=b", "--many=c:d"])
    self.assertEqual((values.one, values.many), ("a[1]", ["b", "c:d"]))
    for name in ("one", "many"):
      self.assertTrue(local_paths.is_path_flag(values[name]))
      with self.assertRaisesRegex(flags.IllegalFlagValueError, f"flag --{name}=gs://b: .*mounted"):
        values(["", f"--{name}=gs://b"])


class ForTensorFlowTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    self.root = tempfile.mkdtemp()
    self.variable = tf.Variable(0.0)
    self.checkpoint = tf.train.Checkpoint(variable=self.variable)

  def save(self, folder, *numbers):
    manager = checkpoint_files.manager(self.checkpoint, folder, max_to_keep=2)
    for number in numbers:
      self.variable.assign(float(number))
      manager.save(checkpoint_number=number)

  def test_plain_names_are_left_alone(self):
    self.assertEqual(local_paths.for_tensorflow("a/b c=1,é"), "a/b c=1,é")

  def test_checkpoints_in_odd_folders(self):
    for name in _ODD:
      with self.subTest(ascii(name)):
        folder = os.path.join(self.root, name, "checkpoints")
        self.save(folder, 1, 2, 3)
        self.assertEqual(checkpoint_files.numbers(folder), [2, 3])
        # By another process, or later.
        self.save(folder, 4)
        self.assertEqual(checkpoint_files.numbers(folder), [3, 4])
        path = checkpoint_files.latest_whole(folder)
        self.assertEqual(path, os.path.join(folder, "ckpt-4"))
        self.variable.assign(0.0)
        checkpoint_files.restore(self.checkpoint, path).assert_consumed()
        self.assertEqual(self.variable.numpy(), 4.0)
        names = checkpoint_files.load(path).get_variable_to_shape_map()
        self.assertIn("variable/.ATTRIBUTES/VARIABLE_VALUE", names)

  def test_patterns_delete_nothing_of_other_folders(self):
    other = os.path.join(self.root, "run1")
    self.save(other, 1, 2)
    self.save(os.path.join(self.root, "run*"), 1, 2, 3, 4)
    self.save(os.path.join(self.root, "run?"), 1, 2, 3, 4)
    self.assertEqual(checkpoint_files.numbers(other), [1, 2])

  def test_saved_models_and_records_in_odd_folders(self):
    module = tf.Module()
    module.variable = self.variable
    module.double = tf.function(
      lambda x: x + module.variable, input_signature=[tf.TensorSpec([], tf.float32)]
    )
    for name in _ODD:
      with self.subTest(ascii(name)):
        folder = os.path.join(self.root, name)
        os.makedirs(folder)
        tf.saved_model.save(module, local_paths.for_tensorflow(folder))
        self.assertTrue(os.path.exists(os.path.join(folder, "saved_model.pb")))
        loaded = tf.saved_model.load(local_paths.for_tensorflow(folder))
        self.assertEqual(loaded.double(1.0).numpy(), 1.0)
        path = local_paths.for_tensorflow(os.path.join(folder, "x.tfrecord"))
        with tf.io.TFRecordWriter(path) as writer:
          writer.write(b"a")
        self.assertEqual(list(tf.data.TFRecordDataset(path).as_numpy_iterator()), [b"a"])

  def test_messages_show_the_true_name(self):
    folder = os.path.join(self.root, "a[1]")
    os.makedirs(folder)
    alias = local_paths.for_tensorflow(os.path.join(folder, "ckpt-3"))
    self.assertNotIn("[", alias)
    message = local_paths.readable(f"{alias}; No space left on device")
    self.assertEqual(message, f"{folder}/ckpt-3; No space left on device")
    self.assertIn("a[1]", local_paths.pattern_note(folder))
    self.assertEqual(local_paths.pattern_note("/plain"), "")

  def test_a_folder_in_the_place_of_another_is_a_new_one(self):
    folder = os.path.join(self.root, "a[1]")
    os.makedirs(folder)
    first = local_paths.for_tensorflow(folder)
    os.rename(folder, f"{folder}.old")
    os.makedirs(folder)
    self.assertNotEqual(local_paths.for_tensorflow(folder), first)

  def test_files_with_odd_names(self):
    with self.assertRaisesRegex(local_paths.PathError, "Rename it"):
      local_paths.for_tensorflow(os.path.join(self.root, "a*"))
    with self.assertRaises(FileNotFoundError):
      local_paths.for_tensorflow(os.path.join(self.root, "a*", "b"))


class AccentsTest(unittest.TestCase):

  def test_names_that_differ_in_how_accents_are_composed(self):
    with tempfile.TemporaryDirectory() as root:
      folder, name = "Übung é", "Café.mp4"
      for on_disk, listed in (("NFC", "NFD"), ("NFD", "NFC")):
        path = os.path.join(root, on_disk, unicodedata.normalize(on_disk, folder))
        os.makedirs(path)
        path = os.path.join(path, unicodedata.normalize(on_disk, name))
        with open(path, "w"):
          pass
        wanted = os.path.join(
          root, on_disk, unicodedata.normalize(listed, folder), unicodedata.normalize(listed, name)
        )
        self.assertFalse(os.path.exists(wanted))
        self.assertEqual(local_paths.spelled_otherwise(wanted), path)
        self.assertIsNone(local_paths.spelled_otherwise(path))
        self.assertIsNone(local_paths.spelled_otherwise(f"{wanted}x"))
        self.assertIsNone(local_paths.spelled_otherwise(f"{wanted}/x"))

  def test_flags_and_files_yet_to_be_written(self):
    with tempfile.TemporaryDirectory() as root:
      on_disk, typed = (unicodedata.normalize(form, "é") for form in ("NFD", "NFC"))
      os.mkdir(os.path.join(root, on_disk))
      values = flags.FlagValues()
      local_paths.define_flag("output", None, "Output.", values)
      for ending in ("", "/new.npz", "/new/é.npz"):
        values(["", f"--output={root}/{typed}{ending}"])
        self.assertEqual(values.output, f"{root}/{on_disk}{ending}")
      for path in (f"{root}/{on_disk}/", f"{root}/ü/x", "é", "/", "", "a/", "//", "nothing//é/"):
        with self.subTest(path):
          self.assertEqual(local_paths.as_on_disk(path), path)
      # Both exist.
      os.mkdir(os.path.join(root, typed))
      self.assertEqual(local_paths.as_on_disk(f"{root}/{typed}/x"), f"{root}/{typed}/x")

  def test_relative_names_and_no_accents(self):
    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
      stack.callback(os.chdir, os.getcwd())
      os.chdir(root)
      with open(unicodedata.normalize("NFD", "é"), "w"):
        pass
      found = local_paths.spelled_otherwise(unicodedata.normalize("NFC", "é"))
      self.assertEqual(found, unicodedata.normalize("NFD", "é"))
      self.assertIsNone(local_paths.spelled_otherwise("nothing"))
      self.assertIsNone(local_paths.spelled_otherwise(os.fsdecode(b"caf\xe9")))


if __name__ == "__main__":
  unittest.main()
