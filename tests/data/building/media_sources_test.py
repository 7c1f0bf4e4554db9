"""Tests of the table of media sources."""

import os
import unittest

from avssl_tf import keys
from avssl_tf.data.building.media_sources import SOURCES, WHOLE_FILES, Inputs
from tests import source_tree


class MediaSourcesTest(unittest.TestCase):

  def test_settings_follow_from_modalities_and_protocol(self):
    for name in ("ucf101", "hmdb51"):
      self.assertEqual(
        SOURCES[name].settings,
        {"input_dir", "frame_rate_hz", "short_side", "jpeg_quality", "stereo_mode"},
      )
    for name in ("esc50", "dcase"):
      self.assertEqual(
        SOURCES[name].settings, {"input_dir", "sample_rate_hz", "num_channels", "audio_track"}
      )
    self.assertIn("test_fraction", SOURCES["folder"].settings)
    self.assertNotIn("test_fraction", SOURCES["kinetics"].settings)
    self.assertLessEqual({"trimmed", "input_csv"}, SOURCES["audioset"].settings)

  def test_what_is_for_evaluation_has_one_modality_and_a_record_a_file(self):
    for name, source in SOURCES.items():
      with self.subTest(name):
        for_training = source.task is None
        self.assertEqual(source.modalities == keys.MODALITIES, for_training)
        self.assertEqual(source.cutting, None if for_training else WHOLE_FILES)

  def test_scales_exist(self):
    for source in SOURCES.values():
      folder = source_tree.ROOT / ("gin/evaluate/scale" if source.task else "gin/scale")
      self.assertTrue((folder / f"{source.scale}.gin").exists())

  def test_all_look_where_they_are_told(self):
    for name, source in SOURCES.items():
      folder = os.path.join("no", "such", "folder")
      with self.subTest(name), self.assertRaisesRegex(OSError, "no.*such"):
        source.list_clips(Inputs(folder, [os.path.join(folder, "list.csv")]))


if __name__ == "__main__":
  unittest.main()
