"""Tests of the folder that an evaluation writes."""

import os
import tempfile
import unittest

from avssl_tf import own_files
from avssl_tf.evaluation import classifier_training, output_folder, stage_features


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
      f.write("work")
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
    output_folder.check_no_links(self.output_dir, self.output_dir)
    for name in ("work/fold1", "work/features/train-00000.npz"):
      with self.subTest(name):
        link = os.path.join(self.output_dir, name)
        os.symlink(self.outside, link)
        with self.assertRaisesRegex(own_files.ForeignFilesError, f"{link} is a symbolic link to"):
          output_folder.check_no_links(self.output_dir)
        os.remove(link)
    link = f"{self.output_dir}-link"
    os.symlink(self.output_dir, link)
    output_folder.check_no_links(link)  # Named by the user.
    with self.assertRaisesRegex(own_files.ForeignFilesError, "is a symbolic link to"):
      output_folder.check_no_links(link, link)  # Found in a run.

  def test_folder_of_a_training_with_other_files(self):
    folder = os.path.join(self.output_dir, "work", "fold1")
    path = self.write("work/fold1/thesis.tex")
    with self.assertRaisesRegex(own_files.ForeignFilesError, "fold1 holds 'thesis.tex'"):
      classifier_training.train(None, None, 1, [], folder, {"a": 1}, "fold1")
    self.assertTrue(os.path.exists(path))

  def test_folder_of_features_with_other_files(self):
    folder = os.path.join(self.output_dir, "work", "features")
    path = self.write("work/features/thesis.tex")
    with self.assertRaisesRegex(own_files.ForeignFilesError, "features holds 'thesis.tex'"):
      stage_features.FeatureStore(folder, {"a": 1}, {})
    self.assertTrue(os.path.exists(path))
    os.remove(path)
    os.symlink(self.outside, os.path.join(folder, "train-00000.npz"))
    with self.assertRaisesRegex(own_files.ForeignFilesError, "train-00000.npz"):
      stage_features.FeatureStore(folder, {"a": 1}, {})


if __name__ == "__main__":
  unittest.main()
