"""Tests that SavedModels of unknown origin are reported before they are loaded."""

import os
import tempfile
import unittest
from unittest import mock

import tensorflow as tf

from avssl_tf.inference import origin


def _save(folder: str, value: float) -> str:
  module = tf.Module()
  module.double = tf.function(lambda x: value * x, [tf.TensorSpec([], tf.float32)])
  tf.saved_model.save(module, folder)
  return folder


class OriginTest(unittest.TestCase):

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name
    state = os.path.join(self.folder, "state")
    environment = mock.patch.dict(os.environ, XDG_STATE_HOME=state)
    environment.start()
    self.addCleanup(environment.stop)
    self.own = _save(os.path.join(self.folder, "own"), 2.0)
    self.other = _save(os.path.join(self.folder, "other"), 3.0)

  def test_own_export_is_known_wherever_it_is(self):
    self.assertFalse(origin.is_recorded(self.own))
    origin.record(self.own)
    moved = os.path.join(self.folder, "moved")
    os.rename(self.own, moved)
    with mock.patch.object(origin.logging, "warning") as warning:
      self.assertEqual(float(origin.load(moved).double(1.0)), 2.0)
    warning.assert_not_called()
    self.assertFalse(origin.is_recorded(self.other))

  def test_unknown_origin_is_reported_before_loading(self):
    origin.record(self.own)
    with self.assertLogs("absl", "WARNING") as logs:
      with mock.patch.object(tf.saved_model, "load", side_effect=RuntimeError("loading")):
        with self.assertRaisesRegex(RuntimeError, "loading"):
          origin.load(self.other)
    expected = f"{self.other} is a SavedModel that was not exported by this user"
    self.assertIn(expected, logs.output[0])

  def test_graph_of_another_in_an_own_folder_is_unknown(self):
    origin.record(self.own)
    name = tf.saved_model.SAVED_MODEL_FILENAME_PB
    os.replace(os.path.join(self.other, name), os.path.join(self.own, name))
    self.assertFalse(origin.is_recorded(self.own))

  def test_record_that_cannot_be_written_loses_nothing_else(self):
    with open(os.path.join(self.folder, "state"), "w", encoding="utf-8"):
      pass
    with self.assertLogs("absl", "WARNING") as logs:
      origin.record(self.own)
    self.assertIn("Cannot write", logs.output[0])
    self.assertFalse(origin.is_recorded(self.own))


if __name__ == "__main__":
  unittest.main()
