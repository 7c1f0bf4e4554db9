"""Tests of listing Kinetics."""

import os

from absl.testing import absltest, parameterized

from avssl_tf.data.sources.kinetics import clips_of_kinetics
from avssl_tf.data.sources.listings.listing import ListError
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
      r"2 of 3 listed clips \(66.7%\).*--max_failure_rate=0.67 or more",
      "skipped: 1,.*'train/other.mp4'",
    )
    # The expected path, which the build lists as a failure.
    self.assertEqual(self.summary(listing)[1][1], "train/-_hyphens_x_000000_000010.mp4")

  def test_a_replacement_goes_before_the_file_that_it_replaces(self):
    name = os.path.basename(TRIMMED)
    replacement = f"replacement/replacement_for_corrupted_k400/{name}"
    root = self.make({"train.csv": TRAIN}, [TRIMMED, f"a/{name}", replacement])
    self.assertEqual(self.summary(clips_of_kinetics(root))[0][1], replacement)
    os.remove(self.path(replacement))
    self.assertEqual(self.summary(clips_of_kinetics(root))[0][1], TRIMMED)

  @parameterized.parameters(
    "_000012_000022", "_12_22", "_12.0_22.0", "_12.000_22.000", "_12000_22000", "_012_022",
    "_12-22", "_12", "_000012", "_12.0", "_12000", "_000012_000022.mp4", "-12-22",
  )
  def test_names_of_clips(self, ending):
    for folder in ("train/", "train/air drumming/", "", "clips/a/b/"):
      for extension in (".mp4", ".MKV", ".webm"):
        name = f"{folder}0Ab1cD2eF3g{ending}{extension}"
        with self.subTest(name):
          root = self.make({"train.csv": TRAIN}, [name])
          self.assertEqual(self.summary(clips_of_kinetics(root))[0][1:3], (name, WHOLE))
          os.remove(self.path(name))

  @parameterized.parameters(
    "_40.5_44.5", "_40.50_44.50", "_40_44", "_000040_000045", "_000041_000045", "_40500_44500",
    "_40.5", "_40500",
  )
  def test_times_with_a_fraction(self, ending):
    name = f"train/wholevideo1{ending}.mp4"
    root = self.make({"train.csv": f"{HEADER}zumba,wholevideo1,40.5,44.5,train,0\n"}, [name])
    self.assertEqual(self.summary(clips_of_kinetics(root))[0][1:3], (name, WHOLE))

  def test_the_nearest_of_several_clips_of_a_video(self):
    starts, times = (0, 5, 5.5, 10), ("0_10", "5_15", "5.5_15.5", "10000_20000", "5")
    rows = "".join(f"zumba,id_of_video,{start},{start + 10},train,0\n" for start in starts)
    names = [f"id_of_video_{ending}.mp4" for ending in times]
    listing = clips_of_kinetics(self.make({"train.csv": HEADER + rows}, names))
    self.assertEqual([r.media_id for r in listing.requests], names[:4])
    self.assert_notes(listing, "skipped: 1,.*id_of_video_5.mp4")

  def test_a_clip_of_another_span_is_shown_beside_what_is_missing(self):
    root = self.make({"train.csv": TRAIN}, [TRIMMED, "train/wholevideo1_60_70.mp4"])
    listing = clips_of_kinetics(root)
    self.assert_notes(
      listing,
      "For 1 there is a file .*'train/wholevideo1_60_70.mp4' instead of "
      "'wholevideo1_000059_000069.mp4':",
      "skipped: 1",
    )
    os.remove(self.path(TRIMMED))
    with self.assertRaisesRegex(ListError, "contains 1 other media files, such as .*_60_70.mp4"):
      clips_of_kinetics(root)

  def test_rows_that_share_a_file_are_reported(self):
    rows = "zumba,id_of_video,0,10,train,0\nzumba,id_of_video,20,30,train,0\n"
    root = self.make({"train.csv": HEADER + rows}, ["id_of_video.mp4"])
    self.assert_notes(clips_of_kinetics(root, trimmed=True), "2 rows.*share files.*id_of_video.mp4")

  def test_all_missing_but_one_in_many(self):
    rows = "".join(f"zumba,gone{number:07},0,10,train,0\n" for number in range(300))
    root = self.make({"train.csv": TRAIN + rows}, [TRIMMED])
    listing = clips_of_kinetics(root)
    self.assertIn("--max_failure_rate=1 builds", listing.notes[0])

  def test_named_lists_whose_names_tell_the_split(self):
    rows = "youtube_id,time_start,time_end,label\n0Ab1cD2eF3g,12,22,zumba\n"
    root = self.make({"mine/kinetics-400_val.csv": rows}, [TRIMMED])
    listing = clips_of_kinetics(root, [self.path("mine/kinetics-400_val.csv")])
    self.assertEqual(self.summary(listing), [("validation", TRIMMED, WHOLE, ("zumba",))])

  def test_rows_that_repeat_others(self):
    root = self.make({"train.csv": TRAIN + TRAIN[len(HEADER) :]}, [TRIMMED])
    listing = clips_of_kinetics(root)
    self.assertLen(listing.requests, 3)
    self.assert_notes(listing, "3 duplicate rows", "2 of 3")

  def test_clips_that_are_named_like_whole_videos(self):
    root = self.make({"train.csv": TRAIN})
    media_variants.write_media(self.path("wholevideo1.mkv"), None, media_variants.sine(1.0))
    with self.assertRaisesRegex(ListError, "ends before the start .* at 59 s.*pass --trimmed"):
      clips_of_kinetics(root)
    self.assertLen(clips_of_kinetics(root, trimmed=True).requests, 3)

  def test_nothing_is_there(self):
    root = self.make({"train.csv": TRAIN}, ["other.mp4"])
    with self.assertRaisesRegex(
      ListError, "(?s)None of the 3 listed.*000022.mp4'.* contains 1 other.*Expected:.*annotations/"
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
      (HEADER + "zumba,0Ab1cD2eF3g,12\n", "row 2: 3 fields; expected 6"),
      (HEADER + "zumba,0Ab1cD2eF3g,a,22,train,0\n", "row 2: time_start is 'a'"),
      (HEADER + "\nzumba,0Ab1cD2eF3g,22,12,train,0\n", "row 3: time_end 12 is not after"),
      (HEADER + "zumba,a/b,12,22,train,0\n", "row 2: youtube_id is 'a/b'"),
      (HEADER + "zumba,0Ab1cD2eF3g,12,22,some,0\n", "row 2: unknown split 'some'"),
      (HEADER, "contain no clips"),
    ):
      with self.subTest(problem), self.assertRaisesRegex(ListError, problem) as caught:
        clips_of_kinetics(self.make({"train.csv": content}, [TRIMMED]))
      self.assertIn(self.folder, str(caught.exception))


if __name__ == "__main__":
  absltest.main()
