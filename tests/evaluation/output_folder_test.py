"""Tests of the folder that an evaluation writes."""

import os
import tempfile
import unittest

from avssl_tf import files, own_files
from avssl_tf.evaluation import output_folder
from avssl_tf.evaluation.audio_svm import stage_features
from avssl_tf.evaluation.classifiers import classifier_training


class OutputFolderTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.output_dir = os.path.join(folder.name, "knn")
    self.outside = os.path.join(folder.name, "outside")
    self.victim = self.write("../outside/fold1/ckpt-1.index")

  def write(self, name):
    path = os.path.normpath(os.path.join(self.output_dir, name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
      f.write('{"settings": {}, "parts": {}}')
    return path

  def fill(self):
    for name in (
      "results.json",
      "work/fold1/settings.json",
      "work/fold1/checkpoint",
      "work/fold1/ckpt-2.data-00000-of-00001",
      "work/features/key.json",
      "work/features/train-00000.npz.tmp-7",
      "work/clips-0123456789ab.csv",
    ):
      self.write(name)

  def test_clear(self):
    self.fill()
    kept = [self.write("clips.csv"), self.write("thesis.tex")]
    output_folder.clear(self.output_dir)
    names = [os.path.join(self.output_dir, name) for name in sorted(os.listdir(self.output_dir))]
    self.assertEqual(names, kept)
    output_folder.clear(self.output_dir)

  def test_leftovers_of_killed_evaluations(self):
    swept = [self.write("results.json.tmp-7"), self.write("clips.csv.tmp-7")]
    kept = [self.write("results.json"), self.write("thesis.tex.tmp-7")]
    with output_folder.claimed(self.output_dir):
      self.assertFalse(any(map(os.path.exists, swept)))
    self.assertTrue(all(map(os.path.exists, kept)))

  def test_foreign_files_in_the_folder_for_work(self):
    self.fill()
    for name in ("work/thesis.tex", "work/fold1/thesis.tex", "work/features/thesis.tex"):
      with self.subTest(name):
        path = self.write(name)
        with self.assertRaisesRegex(own_files.ForeignFilesError, name.partition("/")[2]):
          output_folder.clear(self.output_dir)
        self.assertTrue(os.path.exists(path))
        self.assertTrue(os.path.exists(os.path.join(self.output_dir, "results.json")))
        os.remove(path)

  def test_results_and_clips_of_others(self):
    path = self.write("results.json")
    for text in ("mine", "[]", '{"settings": {}}'):
      with open(path, "w", encoding="utf-8") as f:
        f.write(text)
      with self.assertRaisesRegex(own_files.ForeignFilesError, f"{path} contains no results"):
        output_folder.clear(self.output_dir)
      self.assertTrue(os.path.exists(path))
    path = self.write("clips.csv")
    with self.assertRaisesRegex(own_files.ForeignFilesError, f"{path} exists but was not"):
      output_folder.check(self.output_dir)
    with open(path, "w", encoding="utf-8") as f:
      f.write("id,window,method,ciou\n")
    output_folder.check(self.output_dir)

  def test_links(self):
    os.makedirs(self.output_dir)
    for name, target in (("work", self.outside), ("results.json", self.victim)):
      with self.subTest(name):
        link = os.path.join(self.output_dir, name)
        os.symlink(target, link)
        with self.assertRaisesRegex(own_files.ForeignFilesError, f"{link} is a symbolic link to"):
          output_folder.clear(self.output_dir)
        self.assertTrue(os.path.exists(self.victim))
        os.remove(link)

  def test_links_that_would_be_written_through(self):
    os.makedirs(os.path.join(self.output_dir, "work", "features"))
    output_folder.check(self.output_dir, self.output_dir)
    for name in ("work/fold1", "work/features/train-00000.npz"):
      with self.subTest(name):
        link = os.path.join(self.output_dir, name)
        os.symlink(self.outside, link)
        with self.assertRaisesRegex(own_files.ForeignFilesError, f"{link} is a symbolic link to"):
          output_folder.check(self.output_dir)
        os.remove(link)
    link = f"{self.output_dir}-link"
    os.symlink(self.output_dir, link)
    output_folder.check(link)  # Named by the user.
    with self.assertRaisesRegex(own_files.ForeignFilesError, "is a symbolic link to"):
      output_folder.check(link, link)  # Found in a run.

  def test_one_evaluation_at_a_time(self):
    deep = os.path.join(self.output_dir, "a", "b")
    with output_folder.claimed(deep):
      with self.assertRaisesRegex(files.FolderInUseError, f"running in {deep}"):
        with output_folder.claimed(deep):
          pass
    self.assertFalse(os.path.exists(self.output_dir))  # Nothing was written.
    os.mkdir(self.output_dir)
    with output_folder.claimed(deep):
      kept = self.write("a/b/results.json")
    self.assertTrue(os.path.exists(kept))

  def test_folder_of_a_training_with_other_files(self):
    folder = os.path.join(self.output_dir, "work", "fold1")
    path = self.write("work/fold1/thesis.tex")
    with self.assertRaisesRegex(own_files.ForeignFilesError, "fold1 contains 'thesis.tex'"):
      classifier_training.train(None, None, 1, [], folder, {"a": 1}, "fold1")
    self.assertTrue(os.path.exists(path))

  def test_folder_of_features_with_other_files(self):
    folder = os.path.join(self.output_dir, "work", "features")
    path = self.write("work/features/thesis.tex")
    with self.assertRaisesRegex(own_files.ForeignFilesError, "features contains 'thesis.tex'"):
      stage_features.FeatureStore(folder, {"a": 1}, {})
    self.assertTrue(os.path.exists(path))
    os.remove(path)
    os.symlink(self.outside, os.path.join(folder, "train-00000.npz"))
    with self.assertRaisesRegex(own_files.ForeignFilesError, "train-00000.npz"):
      stage_features.FeatureStore(folder, {"a": 1}, {})


if __name__ == "__main__":
  unittest.main()
