"""Tests of listing Kinetics."""

import os

from absl.testing import absltest

from avssl_tf.data.sources.kinetics import clips_of_kinetics
from avssl_tf.data.sources.listing import ListError
from tests import media_variants
from tests.data.sources import source_case

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"
TRAIN = HEADER + (
  '"air drumming",0Ab1cD2eF3g,12,22,train,0\n'
  "zumba,-_hyphens_x,0,10,train,1\n"
  "zumba,wholevideo1,59.0,69.0,train,0\n"
)
TRIMMED = "train/0Ab1cD2eF3g_000012_000022.mp4"
WHOLE = (None, None)


class KineticsTest(source_case.SourceCase):

  def test_clips_and_whole_videos_in_any_folder(self):
    root = self.make(
      {
        "annotations/train.csv": TRAIN,
        "annotations/val.csv": HEADER + "zumba,validation1,3,13,validate,0\n",
        "annotations/test.csv": "youtube_id,time_start,time_end,split\ntestvideo11,5,15,test\n",
        "annotations/classes.csv": "zumba\n",
      },
      [
        TRIMMED,
        "train/zumba/-_hyphens_x_000000_000010.webm",
        "videos/wholevideo1.mkv",
        "val/validation1_000003_000013.mp4",
        "testvideo11_000005_000015.MP4",
        "train/.partial/x.mp4",
      ],
    )
    listing = clips_of_kinetics(root)
    self.assertEqual(listing.label_names, ["air drumming", "zumba"])
    self.assertEqual(
      self.summary(listing),
      [
        ("test", "testvideo11_000005_000015.MP4", WHOLE, ()),
        ("train", TRIMMED, WHOLE, ("air drumming",)),
        ("train", "train/zumba/-_hyphens_x_000000_000010.webm", WHOLE, ("zumba",)),
        ("train", "videos/wholevideo1.mkv", (59.0, 69.0), ("zumba",)),
        ("validation", "val/validation1_000003_000013.mp4", WHOLE, ("zumba",)),
      ],
    )
    self.assert_notes(listing)
    self.assertEqual(listing.requests[2].media_id, "train/zumba/-_hyphens_x_000000_000010.webm")
    trimmed = clips_of_kinetics(root, trimmed=True)
    self.assertEqual(self.summary(trimmed)[3][2], WHOLE)

  def test_missing_and_superfluous_files_are_told(self):
    root = self.make({"train.csv": TRAIN}, [TRIMMED, "train/other.mp4"])
    listing = clips_of_kinetics(root)
    self.assert_notes(
      listing,
      r"2 of 3 clips listed \(66.7%\).*--max_failure_rate=0.67 or more",
      "left out: 1,.*'train/other.mp4'",
    )
    # Where it would be, so that the build can list it.
    self.assertEqual(self.summary(listing)[1][1], "train/-_hyphens_x_000000_000010.mp4")

  def test_a_replacement_goes_before_the_file_that_it_replaces(self):
    name = os.path.basename(TRIMMED)
    replacement = f"replacement/replacement_for_corrupted_k400/{name}"
    root = self.make({"train.csv": TRAIN}, [TRIMMED, f"a/{name}", replacement])
    self.assertEqual(self.summary(clips_of_kinetics(root))[0][1], replacement)
    os.remove(self.path(replacement))
    self.assertEqual(self.summary(clips_of_kinetics(root))[0][1], TRIMMED)

  def test_named_lists_whose_names_tell_the_split(self):
    rows = "youtube_id,time_start,time_end,label\n0Ab1cD2eF3g,12,22,zumba\n"
    root = self.make({"mine/kinetics-400_val.csv": rows}, [TRIMMED])
    listing = clips_of_kinetics(root, [self.path("mine/kinetics-400_val.csv")])
    self.assertEqual(self.summary(listing), [("validation", TRIMMED, WHOLE, ("zumba",))])

  def test_rows_that_repeat_others(self):
    root = self.make({"train.csv": TRAIN + TRAIN[len(HEADER) :]}, [TRIMMED])
    listing = clips_of_kinetics(root)
    self.assertLen(listing.requests, 3)
    self.assert_notes(listing, "3 rows of the lists repeat", "2 of 3")

  def test_clips_that_are_named_like_whole_videos(self):
    root = self.make({"train.csv": TRAIN})
    media_variants.write_media(self.path("wholevideo1.mkv"), None, media_variants.sine(1.0))
    with self.assertRaisesRegex(ListError, "ends before the clip at 59 s.*pass --trimmed"):
      clips_of_kinetics(root)
    self.assertLen(clips_of_kinetics(root, trimmed=True).requests, 3)

  def test_nothing_is_there(self):
    root = self.make({"train.csv": TRAIN}, ["other.mp4"])
    with self.assertRaisesRegex(
      ListError, r"(?s)None of the 3 files.*000022.mp4'; 1 other media.*Expected:.*annotations/"
    ):
      clips_of_kinetics(root)

  def test_no_lists(self):
    with self.assertRaisesRegex(ListError, "(?s)No lists in.*annotations.*train.csv.*Expected"):
      clips_of_kinetics(self.make({"list.csv": TRAIN}, [TRIMMED]))
    with self.assertRaisesRegex(FileNotFoundError, "not a folder"):
      clips_of_kinetics(self.path("none"))
    with self.assertRaises(FileNotFoundError):
      clips_of_kinetics(self.folder, [self.path("none.csv")])

  def test_wrong_lists(self):
    for content, problem in (
      ("", "is empty"),
      ("label,id\na,b\n", "row 1: no column 'youtube_id', 'time_start', 'time_end'"),
      (HEADER + "zumba,0Ab1cD2eF3g,12\n", "row 2: 3 fields, expected 6"),
      (HEADER + "zumba,0Ab1cD2eF3g,a,22,train,0\n", "row 2: time_start is 'a'"),
      (HEADER + "\nzumba,0Ab1cD2eF3g,22,12,train,0\n", "row 3: time_end 12 is not after"),
      (HEADER + "zumba,a/b,12,22,train,0\n", "row 2: youtube_id is 'a/b'"),
      (HEADER + "zumba,0Ab1cD2eF3g,12,22,some,0\n", "row 2: unknown split 'some'"),
      (HEADER, "name no clips"),
    ):
      with self.subTest(problem), self.assertRaisesRegex(ListError, problem) as caught:
        clips_of_kinetics(self.make({"train.csv": content}, [TRIMMED]))
      self.assertIn(self.folder, str(caught.exception))


if __name__ == "__main__":
  absltest.main()
