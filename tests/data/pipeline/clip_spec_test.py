"""Tests of the settings of clips and augmentation."""

import tensorflow as tf

from avssl_tf.data.pipeline import clip_spec
from tests import test_base


class SpecTest(test_base.TestCase):
  def test_derived(self):
    self.assertEqual(clip_spec.ClipSpec().video_sec, 0.5)
    self.assertEqual(clip_spec.ClipSpec().num_samples(24000), 48000)

  def test_ranges(self):
    for name, value in (
      ("num_frames", 0),
      ("frame_rate_hz", -1.0),
      ("audio_sec", float("nan")),
      ("max_offset_sec", -0.1),
    ):
      with self.subTest(name), self.assertRaisesRegex(ValueError, f"ClipSpec.{name}"):
        clip_spec.ClipSpec(**{name: value})
    for name, value in (
      ("flip_probability", 1.5),
      ("hue", 0.6),
      ("contrast", -0.1),
      ("crop_area", (0.5, 1.2)),
      ("crop_aspect", (1.2, 0.8)),
      ("volume", (0.0, 1.0)),
    ):
      with self.subTest(name), self.assertRaisesRegex(ValueError, f"Augmentation.{name}"):
        clip_spec.Augmentation(**{name: value})


if __name__ == "__main__":
  tf.test.main()
