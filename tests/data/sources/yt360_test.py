"""Tests of listing YT-360."""

from absl.testing import absltest

from avssl_tf.data.sources.listings.listing import ListError
from avssl_tf.data.sources.yt360 import clips_of_yt360
from tests.data.sources import source_case

LISTS = {
  "train.txt": "-ab_cdEFG12\nnoSegments1\n",
  "test.txt": "taARyMZcFJM\n\n",
  "segments.txt": "taARyMZcFJM 104,124\n-ab_cdEFG12 0,27\nunusedVideo 3\n",
}
VIDEOS = [f"video/{stem}.mp4" for stem in ("-ab_cdEFG12-0", "-ab_cdEFG12-27", "taARyMZcFJM-104")]


class Yt360Test(source_case.SourceCase):

  def test_segments_of_both_splits(self):
    listing = clips_of_yt360(self.make(LISTS, [*VIDEOS, "video/taARyMZcFJM-124.mkv"]))
    self.assertEqual(
      self.summary(listing),
      [
        ("train", VIDEOS[0], (None, None), ()),
        ("train", VIDEOS[1], (None, None), ()),
        ("test", VIDEOS[2], (None, None), ()),
        ("test", "video/taARyMZcFJM-124.mkv", (None, None), ()),
      ],
    )
    self.assertEqual(listing.requests[0].media_id, "-ab_cdEFG12-0.mp4")
    self.assertEmpty(listing.label_names)
    self.assert_notes(listing, "1 videos of the splits are not in segments.txt .*'noSegments1'")

  def test_missing_and_superfluous_videos_are_told(self):
    lists = {f"lists/{name}": text for name, text in LISTS.items()}
    listing = clips_of_yt360(self.make(lists, [*VIDEOS[1:], "video/mine-0.mp4"]))
    self.assertLen(listing.requests, 4)
    self.assertEqual(self.summary(listing)[0][1], VIDEOS[0])
    self.assert_notes(
      listing, "not in segments.txt", "2 of 4 listed clips .*max_failure_rate=0.5",
      "skipped: 1, .*'mine-0.mp4'",
    )  # fmt: skip

  def test_wrong_layouts(self):
    for lists, media, message in (
      ({"train.txt": "", "test.txt": ""}, VIDEOS, "(?s)No segments.txt in .* Expected:.*audio/"),
      ({k: v for k, v in LISTS.items() if k != "test.txt"}, VIDEOS, "No test.txt in "),
      (LISTS, (), "No folder 'video' in"),
      (LISTS, ["video/else-1.mp4"], "None of the 4 listed files"),
      ({**LISTS, "segments.txt": "abc x,3\n"}, VIDEOS, "row 1: 'x,3' after the video id"),
      ({**LISTS, "segments.txt": "abc\n"}, VIDEOS, "row 1: 'abc'; expected 2 words"),
      ({**LISTS, "test.txt": "-ab_cdEFG12\n"}, VIDEOS, "is already in train.txt"),
    ):
      self.setUp()
      with self.assertRaisesRegex(ListError, message):
        clips_of_yt360(self.make(lists, media))
    with self.assertRaisesRegex(FileNotFoundError, "is not a folder"):
      clips_of_yt360(self.path("nowhere"))


if __name__ == "__main__":
  absltest.main()
