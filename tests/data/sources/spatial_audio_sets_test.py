"""Tests of listing the data sets of spatial audio generation."""

from absl.testing import absltest

from avssl_tf.data.sources.listings.listing import ListError
from avssl_tf.data.sources.spatial_audio_sets import NAMES, clips_of_spatial_audio_set
from tests.data.sources import source_case

IDS = ("-ab_cdEFG12", "taARyMZcFJM", "cA88rNC2uuM", "_ngX6cQrmto")


def lists_of(name, ids=IDS):
  """Lists of a data set with the n-th video as the test set of fold n."""
  lists = {}
  for fold in (1, 2, 3):
    # The authors' lists do not end with a line break.
    lists[f"{name}.train.{fold}.lst"] = "\n".join(i for i in ids if i != ids[fold - 1])
    lists[f"{name}.test.{fold}.lst"] = ids[fold - 1]
  return lists


class SpatialAudioSetsTest(source_case.SourceCase):

  def lay_out(self, folder, videos, name="REC-Street", ids=IDS):
    return self.make({f"{folder}{n}": text for n, text in lists_of(name, ids).items()}, videos)

  def test_what_the_authors_make(self):
    videos = [f"data/preproc/{i}-video.mp4" for i in IDS]
    sounds = [f"data/preproc/{i}-ambix.m4a" for i in IDS]
    self.lay_out("meta/subsets/", videos + sounds, "YT-Clean")
    listing = clips_of_spatial_audio_set(self.folder, "YT-Clean")
    expected = [("all", video, (None, None), ()) for video in sorted(videos)]
    self.assertEqual(self.summary(listing), expected)
    self.assertEmpty(listing.label_names)
    self.assert_notes(listing)
    self.assertEqual(
      sorted(listing.subsets), ["test1", "test2", "test3", "train1", "train2", "train3"]
    )
    self.assertEqual(listing.subsets["test2"], [f"{IDS[1]}-video.mp4"])
    self.assertEqual(
      listing.subsets["train2"], sorted(f"{i}-video.mp4" for i in IDS if i != IDS[1])
    )

  def test_videos_under_their_ids(self):
    for folder in ("lists/", ""):
      self.setUp()
      self.lay_out(folder, [f"video/{i}.webm" for i in IDS])
      listing = clips_of_spatial_audio_set(self.folder, "REC-Street")
      self.assertEqual(listing.subsets["test1"], [f"{IDS[0]}.webm"])
      self.assert_notes(listing)

  def test_videos_that_are_gone_are_told(self):
    self.lay_out("", [f"video/{i}.mp4" for i in (*IDS[1:3], "another")])
    listing = clips_of_spatial_audio_set(self.folder, "REC-Street")
    self.assertLen(listing.requests, 4)
    self.assertIn(f"{IDS[0]}.mp4", [request.media_id for request in listing.requests])
    self.assert_notes(
      listing, "2 of 4 listed clips .*max_failure_rate=0.5", "skipped: 1, such as 'another.mp4'"
    )

  def test_wrong_layouts(self):
    whole = lists_of("YT-All")
    videos = [f"video/{i}.mp4" for i in IDS]
    without = {name: text for name, text in whole.items() if name != "YT-All.test.3.lst"}
    both = {**whole, "YT-All.test.3.lst": IDS[0]}
    for lists, media, message in (
      (without, videos, "(?s)No YT-All.test.3.lst in .*Expected:.*YT-All.train.1.lst.*audio/"),
      (whole, (), "No video folder in"),
      (whole, ["video/else.mp4"], "None of the 4 listed files"),
      (both, videos, "'-ab_cdEFG12.mp4' and 0 other files are in both"),
      ({**whole, "YT-All.test.1.lst": ""}, videos, "YT-All.test.1.lst lists no video"),
      ({**whole, "YT-All.test.1.lst": "a\na"}, videos, "row 2: 'a' is already in this list"),
      ({**whole, "YT-All.test.1.lst": "a b"}, videos, "row 1: 'a b'; expected a video id"),
    ):
      self.setUp()
      with self.assertRaisesRegex(ListError, message):
        clips_of_spatial_audio_set(self.make(lists, media), "YT-All")
    with self.assertRaisesRegex(FileNotFoundError, "is not a folder"):
      clips_of_spatial_audio_set(self.path("nowhere"), "YT-All")
    with self.assertRaisesRegex(ValueError, "Unknown data set 'YT-Street'; expected one of REC"):
      clips_of_spatial_audio_set(self.folder, "YT-Street")
    self.assertLen(NAMES, 4)


if __name__ == "__main__":
  absltest.main()
