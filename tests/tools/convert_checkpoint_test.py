"""The command that converts published checkpoints, in a process of its own."""

import functools
import json
import pathlib
import tempfile
import unittest

import numpy as np

from tests import command

try:
  import torch
except ImportError:  # An optional extra of this tool alone.
  torch = None

_ROOT = pathlib.Path(__file__).resolve().parents[2]

_run = functools.partial(command.run_tool, "convert_checkpoint")


class ConvertCheckpointTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = pathlib.Path(folder.name)
    self.path = self.folder / "checkpoint.pth.tar"
    self.output_dir = self.folder / "converted"

  def write_checkpoint(self, drop=None, **kwargs):
    """A checkpoint of depth 10 with small weights, as the published code saves it."""
    with open(_ROOT / "tests/testdata/avid_state_dict_shapes.json", encoding="utf-8") as f:
      shapes = json.load(f)["avid_r2plus1d10"]
    generator = torch.Generator().manual_seed(0)
    model = {}
    for name, shape in shapes:
      counter = name.endswith("num_batches_tracked")
      value = torch.tensor(7) if counter else torch.rand(shape, generator=generator) * 0.1 + 0.01
      model[f"module.{name}"] = value
    model.pop(drop, None)
    criterion = {
      "nce_average.view1_mem": torch.randn(5, 128, generator=generator),
      "nce_average.view2_mem": torch.randn(5, 128, generator=generator),
      "nce_average.positive_set": torch.zeros(5, 2, dtype=torch.int32),
      "criterion.avg_exp_score": torch.tensor([3.0]),
    }
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))]).state_dict()
    content = {
      "epoch": 30, "model": model, "train_criterion": criterion, "optimizer": optimizer,
    }
    torch.save(content, self.path, **kwargs)

  def arguments(self):
    return f"--input={self.path}", f"--output_dir={self.output_dir}"

  @unittest.skipIf(torch is None, "PyTorch, an optional extra, is not installed")
  def test_both_file_formats(self):
    statistics = self.folder / "statistics.npz"
    np.savez(statistics, mean=np.zeros(257), std=np.ones(257))
    # Files of PyTorch before 1.6, as the published ones are, are not zip archives.
    for zipped in (True, False):
      with self.subTest(zipped=zipped):
        self.write_checkpoint(_use_new_zipfile_serialization=zipped)
        self.output_dir = self.folder / f"converted_{zipped}"
        result = _run(*self.arguments(), f"--spectrogram_statistics={statistics}")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("parameters, video network: 7,015,616", result.stdout)
        self.assertIn("objective: 5 rows of 128, NCE constant 3", result.stdout)
        self.assertTrue((self.output_dir / "operative_config.gin").exists())

  @unittest.skipIf(torch is None, "PyTorch, an optional extra, is not installed")
  def test_missing_entry_fails(self):
    self.write_checkpoint(drop="module.audio_model.conv1.0.weight")
    result = _run(*self.arguments())
    self.assertEqual(result.returncode, 1)
    self.assertIn("audio_model.conv1.0.weight", result.stderr)
    self.assertNotIn("Traceback", result.stderr)
    self.assertFalse(self.output_dir.exists())

  @unittest.skipIf(torch is None, "PyTorch, an optional extra, is not installed")
  def test_other_files_are_refused(self):
    self.path.write_text("not a checkpoint")
    result = _run(*self.arguments())
    self.assertEqual(result.returncode, 1)
    self.assertIn("is not a PyTorch checkpoint", result.stderr)

  @unittest.skipIf(torch is not None, "PyTorch is installed")
  def test_without_pytorch_it_says_what_to_do(self):
    result = _run(*self.arguments())
    self.assertEqual(result.returncode, 1)
    self.assertIn("pip install torch", result.stderr)
    self.assertNotIn("Traceback", result.stderr)


if __name__ == "__main__":
  unittest.main()
