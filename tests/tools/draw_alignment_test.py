"""Tests of the command that draws what a model of 360° clips takes for pairs."""

import functools
import os
import unittest

import cv2
import numpy as np

from avssl_tf.inference.encoder import Encoder
from avssl_tf.report import alignment_examples
from avssl_tf.training import strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import command, source_tree, tiny_alignment, tiny_run

_run = functools.partial(command.run_tool, "draw_alignment")


class DrawAlignmentTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.planar_dir = cls.data_dir
    cls.data_dir = tiny_alignment.make_data(os.path.join(cls.planar_dir, "..", "data360"))

  def test_clips_are_those_of_the_records_with_their_truth(self):
    encoder = Encoder.of_model(tiny_alignment.built_network(), tiny_alignment.CLIP, 8000, 4)
    clips = alignment_examples.clips(encoder, self.data_dir, "test", 3)
    self.assertEqual(len(clips), 3)
    clip = clips[1]
    self.assertEqual(clip.frame.shape, (64, 128, 3))
    self.assertEqual(clip.views.shape, (3, 16, 16, 3))
    self.assertEqual(clip.similarity.shape, (3, 3))
    self.assertEqual(clip.objects_rad.shape, (4, 2))
    self.assertEqual(clip.is_sounding.tolist(), [True, True, True, False])
    # It is louder towards the objects that sound than elsewhere, taken together.
    rows = ((0.5 - clip.objects_rad[:3, 1] / np.pi) * 60).astype(int)
    columns = ((0.5 - clip.objects_rad[:3, 0] / (2 * np.pi)) * 120).astype(int) % 120
    self.assertGreater(clip.energy[rows, columns].mean(), clip.energy.mean())
    self.assertEqual(len(alignment_examples.clips(encoder, self.data_dir, "test", 100)), 8)

  def test_draws_a_run(self):
    settings = [line for line in tiny_run.GIN.strip().splitlines() if not line.startswith("AVID")]
    configuration.parse(
      [str(source_tree.ROOT / "gin/avsa.gin")],
      [*settings, f'data_dir = "{self.data_dir}"', "num_epochs = 1", "train.probe = None"],
    )
    os.mkdir(self.path("run"))
    trainer.train(model_dir=self.path("run"), strategy=strategies.create())
    output = self.path("picture.png")
    process = _run(f"--model_dir={self.path('run')}", f"--output={output}", "--num_clips=2")
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertRegex(process.stdout, r"\d+ of 8 viewpoints matched with their own audio")
    self.assertGreater(cv2.imread(output).std(), 10)
    for arguments, message in (
      ([f"--data_dir={self.planar_dir}"], "are of ordinary video"),
      (["--output=picture.gif"], "name that ends in .png"),
    ):
      process = _run(f"--model_dir={self.path('run')}", *arguments)
      self.assertEqual(process.returncode, 1)
      self.assertIn(message, process.stderr)
      self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  unittest.main()
