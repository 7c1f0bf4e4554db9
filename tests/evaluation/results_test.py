"""Tests of the results file: resuming, rejection of other settings and files, formatting."""

import json
import os
import tempfile

from absl.testing import absltest

from avssl_tf.evaluation import results

_SETTINGS = {"task": "knn", "k": 20, "splits": ("train", "test"), "temperature": None}


class ResultsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name
    self.path = os.path.join(self.folder, "new", "results.json")

  def open(self, **changes):
    """Opens the results in the test's file, as a rerun of the command does."""
    return results.Results(self.path, {**_SETTINGS, **changes})

  def test_keeps_parts(self):
    first = self.open()
    self.assertIsNone(first.get("fold1"))
    self.assertFalse(os.path.exists(self.path))
    first.put("fold1", {"knn_video": 0.5})
    second = self.open()
    self.assertEqual(second.get("fold1"), {"knn_video": 0.5})
    self.assertIsNone(second.get("fold2"))
    second.put("fold2", {"knn_video": 0.25})
    with open(self.path, encoding="utf-8") as f:
      content = json.load(f)
    self.assertEqual(content["parts"], {"fold1": {"knn_video": 0.5}, "fold2": {"knn_video": 0.25}})
    self.assertEqual(content["settings"], {**_SETTINGS, "splits": ["train", "test"]})
    self.assertEqual(os.listdir(os.path.dirname(self.path)), ["results.json"])

  def test_what_get_returns_is_a_copy(self):
    found = self.open()
    found.put("test", {"knn_video": 0.5})
    found.get("test")["knn_video"] = 1.0
    self.assertEqual(found.get("test"), {"knn_video": 0.5})

  def test_refuses_other_settings(self):
    self.open().put("test", {"knn_video": 0.5})
    with self.assertRaisesRegex(results.ResultsError, r"k: 20 -> 5\n.*--overwrite"):
      self.open(k=5)
    with self.assertRaisesRegex(results.ResultsError, r"new: \(not set\) -> 1"):
      self.open(new=1)
    with self.assertRaisesRegex(results.ResultsError, r"splits: \['train', 'test'\] -> "):
      self.open(splits=("train",))

  def test_a_setting_that_is_none_differs_from_one_that_is_missing(self):
    results.Results(self.path, {"temperature": None}).put("test", {"knn_video": 0.5})
    with self.assertRaisesRegex(results.ResultsError, r"temperature: None -> \(not set\)"):
      results.Results(self.path, {})

  def test_refuses_what_is_no_file_of_results(self):
    os.makedirs(os.path.dirname(self.path))
    for content in ("", "[]", '{"settings": {}}', '{"settings": {}, "parts": {"test": 1}}'):
      with open(self.path, "w", encoding="utf-8") as f:
        f.write(content)
      with self.assertRaisesRegex(results.ResultsError, "contains no results"):
        self.open()

  def test_refuses_numbers_that_are_not_finite(self):
    found = self.open()
    with self.assertRaisesRegex(ValueError, "'test' are not finite: {'knn_video': nan}"):
      found.put("test", {"knn_video": float("nan")})
    self.assertIsNone(found.get("test"))
    self.assertFalse(os.path.exists(self.path))

  def test_table_of_one_part(self):
    found = self.open()
    found.put("test", {"num_clips": 1, "knn_video": 0.5, "knn_audio": 1.0})
    self.assertEqual(
      found.table(), "%            test\nknn_video    50.0\nknn_audio   100.0\nnum_clips       1"
    )

  def test_table_of_folds(self):
    found = self.open()
    found.put("fold1", {"knn_video": 0.5, "knn_audio": 0.25})
    found.put("fold2", {"knn_video": 0.6})
    self.assertEqual(
      found.table(),
      "%           fold1   fold2         mean\n"
      "knn_video    50.0    60.0   55.0 ± 7.1\n"
      "knn_audio    25.0       -   25.0 (n=1)",
    )
    self.assertEqual(
      found.table(with_mean=False),
      "%           fold1   fold2\nknn_video    50.0    60.0\nknn_audio    25.0       -",
    )


if __name__ == "__main__":
  absltest.main()
