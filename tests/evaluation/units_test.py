"""Tests of the display units of metrics."""

import unittest

from avssl_tf.evaluation import units


class UnitsTest(unittest.TestCase):

  def test_names_tell_units(self):
    for name, value, text, symbol in (
      ("probe/knn_video", 0.126, "12.6", "%"),
      ("one_error_db", -9.26, "-9.3", "dB"),
      ("all_strongest_deg", 6.04, "6.0", "°"),
      ("training_sec", 61.7, "62", "s"),
      ("emd_dir_distance", 0.012345, "0.0123", ""),
      ("mean_squared_error", 1.5e-5, "1.5e-05", ""),
      ("map_correlation", 0.987, "0.99", ""),
      ("probe/num_clips", 12.0, "12", ""),
    ):
      with self.subTest(name):
        unit = units.unit_of(name)
        self.assertEqual((unit.text(value), unit.symbol), (text, symbol))

  def test_titles_tell_what_is_not_percent(self):
    self.assertEqual(units.titled("a", "knn_video"), "a")
    self.assertEqual(units.titled("a", "x_deg"), "a, °")
    self.assertEqual(units.titled("a", "x_correlation"), "a")

  def test_counts(self):
    self.assertTrue(units.is_count("probe/num_all"))
    self.assertFalse(units.is_count("sum_num_all"))


if __name__ == "__main__":
  unittest.main()
