"""Tests of listing a folder of videos."""

import os
import tempfile

from absl.testing import absltest, parameterized

from avssl_tf.data.sources import folder
from avssl_tf.data.sources.listings import clip_request
from avssl_tf.data.sources.listings.listing import Listing


class FolderTest(parameterized.TestCase):
  def make(self, *names: str) -> str:
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    for name in names:
      path = os.path.join(temporary.name, name)
      os.makedirs(os.path.dirname(path), exist_ok=True)
      with open(path, "wb"):
        pass
    return temporary.name

  def listed(self, input_dir):
    listing = folder.clips_of_folder(input_dir)
    for request in listing.requests:
      self.assertEqual(request.path, os.path.join(input_dir, *request.media_id.split("/")))
      self.assertIsNone(request.start_sec)
      self.assertIsNone(request.end_sec)
    listed = [(r.split, *(r.labels or (None,)), r.media_id) for r in listing.requests]
    return listed, listing.label_names

  def test_request(self):
    input_dir = self.make("a.mp4")
    expected = clip_request.ClipRequest(
      "train", os.path.join(input_dir, "a.mp4"), None, None, (), "a.mp4"
    )
    self.assertEqual(folder.clips_of_folder(input_dir), Listing([expected], [], notes=[]))

  def test_flat(self):
    input_dir = self.make("b.MP4", "a.webm", "notes.txt", ".hidden.mp4", "c.mkv")
    listed, labels = self.listed(input_dir)
    self.assertEqual([media_id for _, _, media_id in listed], ["a.webm", "b.MP4", "c.mkv"])
    self.assertEqual({(split, label) for split, label, _ in listed}, {("train", None)})
    self.assertEqual(labels, [])

  def test_classes(self):
    input_dir = self.make("dog/a.mp4", "cat/z.avi", "cat/deep/er/b.mov", ".cache/x.mp4", "README")
    self.assertEqual(
      self.listed(input_dir),
      (
        [
          ("train", "cat", "cat/deep/er/b.mov"),
          ("train", "cat", "cat/z.avi"),
          ("train", "dog", "dog/a.mp4"),
        ],
        ["cat", "dog"],
      ),
    )

  def test_splits(self):
    input_dir = self.make("train/dog/a.mp4", "Val/cat/b.mp4", "test/dog/c.mp4")
    self.assertEqual(
      self.listed(input_dir),
      (
        [
          ("test", "dog", "test/dog/c.mp4"),
          ("train", "dog", "train/dog/a.mp4"),
          ("validation", "cat", "Val/cat/b.mp4"),
        ],
        ["cat", "dog"],
      ),
    )

  def test_splits_without_classes(self):
    listed, labels = self.listed(self.make("validation/a.mp4", "train/b.mp4"))
    self.assertEqual(
      listed, [("train", None, "train/b.mp4"), ("validation", None, "validation/a.mp4")]
    )
    self.assertEqual(labels, [])

  def test_other_things_beside_splits(self):
    listed, _ = self.listed(self.make("train/a.mp4", "labels/list.csv", "notes.txt"))
    self.assertEqual(listed, [("train", None, "train/a.mp4")])

  @parameterized.parameters(
    ((), "No videos in"),
    (("a.txt", "dog/b.json"), "No videos in"),
    (("dog/a.mp4", "b.mp4"), "1 videos without a class, such as 'b.mp4'"),
    (("train/a.mp4", "dog/b.mp4"), r"split folders \['train'\] and also videos in .*\['dog'\]"),
    (("val/a.mp4", "validation/b.mp4"), "two folders for the split 'validation'"),
    (("train/dog/a.mp4", "test/b.mp4"), r"but \['test'\] do not"),
  )
  def test_errors(self, names, problem):
    with self.assertRaisesRegex(ValueError, problem):
      folder.clips_of_folder(self.make(*names))

  def test_no_folder(self):
    with self.assertRaisesRegex(FileNotFoundError, "--input_dir='/no/such/folder'"):
      folder.clips_of_folder("/no/such/folder")


if __name__ == "__main__":
  absltest.main()
