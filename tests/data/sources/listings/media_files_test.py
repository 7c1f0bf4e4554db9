"""Tests that files are listed once, regardless of links to them."""

import os
import unittest
from unittest import mock

from avssl_tf.applications.embedding import embed
from avssl_tf.data.sources import folder
from avssl_tf.data.sources.listings import media_files
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import Listing
from tests.data.sources import source_case

_VIDEOS = media_files.VIDEO_EXTENSIONS


class LinksTest(source_case.SourceCase):

  def link(self, name, to):
    os.symlink(to, self.path(name))

  def test_links_to_folders_above(self):
    self.make({}, ["dog/a.mp4", "cat/b.mp4"])
    self.link("dog/up", "..")
    self.link("cat/other", "../dog")
    self.link("here", ".")
    found = media_files.MediaFiles(self.folder, _VIDEOS)
    self.assertEqual(found.names, ["cat/b.mp4", "dog/a.mp4"])
    self.assertRegex("\n".join(found.notes), "already listed are skipped: 3, such as 'here'")

  def test_links_to_elsewhere_are_followed(self):
    self.make({}, ["in/train/x.mp4", "out/deep/a.mp4", "out/b.mp4"])
    self.link("in/linked", "../out")
    found = media_files.MediaFiles(self.path("in"), _VIDEOS)
    self.assertEqual(found.names, ["linked/b.mp4", "linked/deep/a.mp4", "train/x.mp4"])
    self.assertEqual(found.notes, [])

  def test_folders_come_before_links_to_them(self):
    self.make({}, ["z/a.mp4"])
    self.link("a", "z")
    self.assertEqual(media_files.MediaFiles(self.folder, _VIDEOS).names, ["z/a.mp4"])

  def test_files_that_are_links_are_files(self):
    self.make({}, ["store/a.mp4", "classes/dog/x.mp4"])
    self.link("classes/dog/a.mp4", "../../store/a.mp4")
    found = media_files.MediaFiles(self.path("classes"), _VIDEOS)
    self.assertEqual(found.names, ["dog/a.mp4", "dog/x.mp4"])

  def test_folder_source(self):
    self.make({}, ["dog/a.mp4", "cat/b.mp4", "cat/a-b/c.mp4", "cat/a/d.mp4"])
    self.link("dog/up", "..")
    self.link("cat/other", "../dog")
    listing = folder.clips_of_folder(self.folder)
    names = [request.media_id for request in listing.requests]
    self.assertEqual(names, ["cat/a/d.mp4", "cat/a-b/c.mp4", "cat/b.mp4", "dog/a.mp4"])
    self.assertEqual(listing.label_names, ["cat", "dog"])
    self.assertRegex(listing.notes[0], "already listed are skipped: 2")

  def test_splits_that_are_links(self):
    self.make({}, ["store/dog/a.mp4", "store2/dog/b.mp4", "in/readme.txt"])
    self.link("in/train", "../store")
    self.link("in/val", "../store2")
    listing = folder.clips_of_folder(self.path("in"))
    found = [(r.split, r.media_id, r.labels) for r in listing.requests]
    expected = [
      ("train", "train/dog/a.mp4", ("dog",)), ("validation", "val/dog/b.mp4", ("dog",))
    ]  # fmt: skip
    self.assertEqual(found, expected)

  def test_embedding_lists_each_file_once(self):
    self.make({}, ["dog/a.mp4", "cat/b.wav"])
    self.link("dog/up", "..")
    sources, notes = embed.Job(self.folder, "out.npz").sources()
    self.assertEqual([source.media_id for source in sources], ["cat/b.wav", "dog/a.mp4"])
    self.assertRegex(notes[0], "already listed are skipped: 1, such as 'dog/up'")

  def test_lists_may_name_files_by_links(self):
    self.make({}, ["z/a.mp4", "z/b.mp4"])
    self.link("a", "z")
    found = media_files.MediaFiles(self.folder, _VIDEOS)
    request = ClipRequest("train", self.path("a/a.mp4"), None, None, (), "a/a.mp4")
    notes = found.compared(Listing([request], []), "layout").notes
    self.assertRegex(notes[-1], "that are in no list are skipped: 1, such as 'z/b.mp4'")
    self.assertNotIn("have no file", "\n".join(notes))

  def test_links_to_themselves_and_to_nothing(self):
    self.make({}, ["dog/a.mp4", "cat/b.mp4"])
    self.link("loop", "loop")
    self.link("gone", "nowhere")
    self.assertEqual(len(media_files.MediaFiles(self.folder, _VIDEOS).names), 2)

  def test_folders_that_cannot_be_read_are_reported(self):
    self.make({}, ["dog/a.mp4", "cat/b.mp4"])
    real = os.scandir

    def scandir(path):
      if str(path).endswith("dog"):
        raise PermissionError(13, "Permission denied")
      return real(path)

    with mock.patch.object(os, "scandir", scandir):
      found = media_files.MediaFiles(self.folder, _VIDEOS)
    self.assertEqual(found.names, ["cat/b.mp4"])
    self.assertRegex(found.notes[0], "cannot be read are skipped: 1, such as 'dog' .Permission")


if __name__ == "__main__":
  unittest.main()
