"""Tests of the export command."""

import os
import tempfile
from unittest import mock

from absl.testing import absltest, flagsaver

from avssl_tf import export
from avssl_tf.data.pipeline import datasets
from avssl_tf.inference import serving
from avssl_tf.inference.trained import Trained
from avssl_tf.training import loading
from avssl_tf.training.configurations import configuration


def _run():
  """Runs the command with the current flags; raises its SystemExit."""
  with mock.patch("sys.argv", ["export"]):
    export.main()


class ExportTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    flags = flagsaver.as_parsed(
      model_dir="runs/x", output_dir="exported/x", any_size="true", overwrite="true"
    )
    self.enter_context(flags)
    self.load = self.enter_context(mock.patch.object(loading, "load"))
    self.export = self.enter_context(mock.patch.object(serving, "export"))

  def test_exports_what_the_run_holds(self):
    clip = datasets.ClipSpec(num_frames=4, frame_rate_hz=8.0, frame_size=16, audio_sec=0.5)
    self.load.return_value = Trained(
      "runs/x", clip, 4000, 2, "ckpt-1 0123456789ab", network=mock.sentinel.network
    )
    with self.assertRaises(SystemExit) as ending:
      _run()
    self.assertIsNone(ending.exception.code)
    self.load.assert_called_once_with("runs/x")
    self.export.assert_called_once_with(
      mock.sentinel.network,
      serving.InputSpec(
        num_frames=4,
        frame_rate_hz=8.0,
        frame_size=16,
        num_samples=2000,
        sample_rate_hz=4000,
        num_channels=2,
      ),
      "exported/x",
      any_size=True,
      overwrite=True,
    )

  def test_says_what_is_wrong_without_a_traceback(self):
    self.load.side_effect = configuration.ConfigurationError("--model_dir=runs/x: nothing there")
    with self.assertRaisesRegex(SystemExit, "Error: --model_dir=runs/x: nothing there"):
      _run()
    self.export.assert_not_called()


class DestinationTest(absltest.TestCase):
  def test_a_foreign_folder_is_refused_before_the_run_is_loaded(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    with open(os.path.join(folder, "thesis.tex"), "w", encoding="utf-8") as f:
      f.write("work")
    flags = flagsaver.as_parsed(model_dir="runs/x", output_dir=folder, overwrite="true")
    with flags, mock.patch.object(loading, "load") as load:
      with self.assertRaisesRegex(SystemExit, f"{folder!r} exists, is not a SavedModel"):
        _run()
    load.assert_not_called()
    self.assertEqual(os.listdir(folder), ["thesis.tex"])


if __name__ == "__main__":
  absltest.main()
