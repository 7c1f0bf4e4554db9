"""Tests of the probe of a run if its data has no test split."""

import contextlib
import dataclasses
import io
import os
import unittest

from avssl_tf.data.records import dataset_info
from avssl_tf.evaluation.frozen.probe import Probe
from avssl_tf.report.reported_run import ReportedRun
from tests import tiny_run

_PROBE = Probe(c_grid=(0.1,), batch_size=8)


class SplitsTest(tiny_run.TestCase):

  def data_with(self, name):
    """The data set with its test split under another name, or without it (None)."""
    info = dataset_info.DatasetInfo.load(self.data_dir)
    folder = self.path(f"data-{name}")
    os.mkdir(folder)
    for entry in os.listdir(self.data_dir):
      if entry != dataset_info.FILE_NAME:
        os.symlink(os.path.join(self.data_dir, entry), os.path.join(folder, entry))
    splits = {"train": info.splits["train"]}
    if name is not None:
      splits[name] = info.splits["test"]
    dataclasses.replace(info, splits=splits).save(folder)
    return folder

  def train(self, data_dir, **settings):
    """A run of one epoch; returns its folder, what it printed, and its result."""
    model_dir, stream = self.path("run"), io.StringIO()
    with contextlib.redirect_stdout(stream):
      result = tiny_run.train(data_dir, model_dir, num_epochs=1, probe=_PROBE, **settings)
    return model_dir, stream.getvalue(), result

  def test_validation_stands_in(self):
    data_dir = self.data_with("validation")
    model_dir, printed, result = self.train(data_dir)
    self.assertIn("has no split 'test': the probe uses 'validation'", printed)
    self.assertEqual(sorted(result.probes), [0, 3])
    self.assertIn("probe/knn_video", result.probes[3])
    run = ReportedRun(model_dir)
    self.assertEqual(run.shown_split, "validation")
    self.assertEqual(run.probed, f"'validation' of {data_dir}")

  def test_without_any_the_run_has_no_probe(self):
    _, printed, result = self.train(self.data_with(None))
    self.assertIn("neither 'test' nor 'validation': the probe is disabled", printed)
    self.assertIn("set Probe.test_split", printed)
    self.assertEqual(result.probes, {})

  def test_of_a_test_split_nothing_is_said(self):
    _, printed, result = self.train(self.data_dir)
    self.assertNotIn("Note", printed)
    self.assertEqual(sorted(result.probes), [0, 3])

  def test_a_mistyped_split_is_an_error_all_the_same(self):
    probe = dataclasses.replace(_PROBE, test_split="tset")
    with self.assertRaisesRegex(ValueError, "no split 'tset'"):
      tiny_run.train(self.data_dir, self.path("run"), num_epochs=1, probe=probe)


if __name__ == "__main__":
  unittest.main()
