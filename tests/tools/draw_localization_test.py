"""Tests of the command that draws where a network takes sound to come from."""

import functools
import os
import unittest

import cv2
import numpy as np

from avssl_tf.evaluation.localization.localized_clip import LocalizedClip
from avssl_tf.report.drawings import localization_picture
from avssl_tf.training import strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import command, source_tree, tiny_run

_run = functools.partial(command.run_tool, "draw_localization")


class DrawLocalizationTest(tiny_run.TestCase):

  def test_box_and_heat_are_where_they_belong(self):
    heat, boxes = np.zeros([64, 64], np.float32), np.float32([[0.0, 0.0, 0.5, 0.5]])
    heat[32:, 32:] = 1.0
    clip = LocalizedClip(
      "a/b@0.000", np.full([32, 32, 3], 128, np.uint8), heat, heat > 0.5, boxes, 0.0
    )
    path = self.path("clips.png")
    localization_picture.draw([clip, clip]).savefig(path)
    picture = cv2.imread(path)[..., ::-1].astype(int)
    green = (picture[..., 1] - picture[..., 0] > 100) & (picture[..., 1] - picture[..., 2] > 50)
    red = picture[..., 0] - picture[..., 2] > 60
    self.assertGreater(green.sum(), 500)
    self.assertGreater(red.sum(), 500)
    # Heat is below and to the right of the box, in each of two of three columns.
    third = picture.shape[1] // 3
    self.assertEqual(red[:, :third].sum(), 0)
    for column in (1, 2):
      part = slice(column * third, (column + 1) * third)
      self.assertGreater(np.nonzero(red[:, part])[1].mean(), np.nonzero(green[:, part])[1].mean())

  def test_draws_a_run(self):
    configuration.parse(
      [str(source_tree.ROOT / "gin/avid.gin")],
      [
        *tiny_run.GIN.strip().splitlines(),
        f'data_dir = "{self.data_dir}"', "num_epochs = 1", "train.probe = None",
        "train.fill_memory = False",
      ],
    )  # fmt: skip
    os.mkdir(self.path("run"))
    trainer.train(model_dir=self.path("run"), strategy=strategies.create())
    output = self.path("picture.png")
    model = f"--model_dir={self.path('run')}"
    process = _run(model, f"--output={output}", "--num_clips=3", "--gin_param=windows=2")
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertRegex(process.stdout, r"Source localised in \d of 3 clips")
    self.assertGreater(cv2.imread(output).std(), 10)
    for arguments, message in (
      ([model, "--output=picture.gif"], "name that ends in .png"),
      ([model, "--data_dir=nowhere"], "there is no (finished) data set"),
      (["--model_dir=nowhere"], "Expected the folder of a run"),
    ):
      process = _run(*arguments)
      self.assertEqual(process.returncode, 1)
      self.assertIn(message, process.stderr)
      self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  unittest.main()
