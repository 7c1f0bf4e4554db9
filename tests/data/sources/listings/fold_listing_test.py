"""Tests of listings with folds."""

import unicodedata

from absl.testing import absltest

from avssl_tf.data.sources.listings.fold_listing import listing_of_folds
from avssl_tf.data.sources.listings.listing import ListError
from avssl_tf.data.sources.listings.media_files import AUDIO_EXTENSIONS, MediaFiles
from tests.data.sources import source_case


class FoldsTest(source_case.SourceCase):

  def test_every_file_once(self):
    files = MediaFiles(self.make({}, ["a/1.wav"]), AUDIO_EXTENSIONS)
    subsets = {"train1": ["b/2.wav", "a/1.wav"], "train2": ["a/1.wav"], "test2": ["b/2.wav"]}
    listing = listing_of_folds(files, {"b/2.wav": "dog", "a/1.wav": None}, ["dog"], subsets)
    self.assertEqual(
      self.summary(listing),
      [("all", "a/1.wav", (None, None), ()), ("all", "b/2.wav", (None, None), ("dog",))],
    )
    self.assertEqual(listing.subsets, {**subsets, "train1": ["a/1.wav", "b/2.wav"]})

  def test_names_that_are_spelled_otherwise(self):
    on_disk, listed = (unicodedata.normalize(form, "é/ü") for form in ("NFD", "NFC"))
    files = MediaFiles(self.make({}, [f"{on_disk}.wav", "a.flac"]), AUDIO_EXTENSIONS)
    names = [f"{listed}.wav", "a.wav"]
    listing = listing_of_folds(files, dict.fromkeys(names), [], {"train1": names})
    found = {request.media_id: request.path for request in listing.requests}
    self.assertEqual(
      found, {names[0]: self.path(f"{on_disk}.wav"), names[1]: self.path("a.flac")}
    )
    self.assert_notes(listing, "2 files are spelled differently")
    with self.assertRaisesRegex(ListError, "'a' and 'a.wav' are listed but are the same file"):
      listing_of_folds(files, {"a": None, "a.wav": None}, [], {})

  def test_a_file_on_both_sides(self):
    files = MediaFiles(self.make({}), AUDIO_EXTENSIONS)
    with self.assertRaisesRegex(ListError, "'a' and 0 other files .*train1 and test1"):
      listing_of_folds(files, {"a": None}, [], {"train1": ["a"], "test1": ["a"]})


if __name__ == "__main__":
  absltest.main()
