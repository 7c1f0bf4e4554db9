"""Tests of the command that draws generated sound fields."""

import functools
import os
import unittest

import cv2
import numpy as np

from avssl_tf import keys
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.inference.generator import Generator
from avssl_tf.report import generation_examples
from tests import command, tiny_alignment, tiny_generator, tiny_run

_run = functools.partial(command.run_tool, "draw_generation")
_CLIP = ClipSpec(num_frames=4, frame_rate_hz=8.0, frame_size=32, audio_sec=0.5, panorama=True)


class DrawGenerationTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.planar_dir = cls.data_dir
    cls.data_dir = tiny_alignment.make_data(os.path.join(cls.planar_dir, "..", "data360"))

  def test_clips_with_both_fields_and_the_truth(self):
    # Left and right are exchanged.
    generator = Generator(_CLIP, 8000, lambda batch: batch[keys.AUDIO] * [1.0, -1.0, 1.0, 1.0])
    examples = generation_examples.fields(generator, self.data_dir, "test", 3)
    clips = [generation_examples.moments(example, 2) for example in examples]
    self.assertEqual(len(clips), 3)
    clip = clips[0]
    self.assertEqual(clip.frames.shape, (2, 32, 64, 3))
    self.assertEqual(clip.sources_rad.shape, (2, 3, 2))
    np.testing.assert_allclose(
      clip.generated_energy, clip.true_energy[..., ::-1], rtol=1e-3, atol=1e-7
    )
    self.assertIn("error", clip.title)
    # It is louder towards the sources than elsewhere, taken together.
    rows = ((0.5 - clip.sources_rad[..., 1] / np.pi) * 45).astype(int)
    columns = ((0.5 - clip.sources_rad[..., 0] / (2 * np.pi)) * 90).astype(int) % 90
    for moment in range(2):
      energy = clip.true_energy[moment]
      self.assertGreater(energy[rows[moment], columns[moment]].mean(), energy.mean())

  def test_draws_a_run(self):
    tiny_generator.train(self.data_dir, self.path("run"))
    output = self.path("picture.png")
    process = _run(f"--model_dir={self.path('run')}", f"--output={output}")
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertRegex(process.stdout, r"spherical/test/00000@0.000, error -?[0-9.]+ dB")
    self.assertGreater(cv2.imread(output).std(), 10)
    for arguments, message in (
      ([f"--data_dir={self.planar_dir}"], "expected 360° clips with first-order ambisonics"),
      (["--output=picture.gif"], "name that ends in .png"),
    ):
      process = _run(f"--model_dir={self.path('run')}", *arguments)
      self.assertEqual(process.returncode, 1)
      self.assertIn(message, process.stderr)
      self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  unittest.main()
