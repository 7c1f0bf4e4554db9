"""Tests of listing UCF-101."""

from absl.testing import absltest

from avssl_tf.data.sources.listings.listing import ListError
from avssl_tf.data.sources.ucf101 import clips_of_ucf101
from tests.data.sources import source_case

VIDEOS = [
  f"{label}/v_{stem}_g0{group}_c01.avi"
  for label, stem in (("Archery", "Archery"), ("HandstandPushups", "HandStandPushups"))
  for group in (1, 2, 3)
]
# Group g is the test set of fold g.
LISTS = {"ucfTrainTestlist/classInd.txt": "1 Archery\n2 HandstandPushups\n\n"}
for fold in (1, 2, 3):
  LISTS[f"ucfTrainTestlist/trainlist0{fold}.txt"] = "".join(
    f"{v} {1 + (v[0] == 'H')}\r\n" for v in VIDEOS if f"_g0{fold}_" not in v
  )
  LISTS[f"ucfTrainTestlist/testlist0{fold}.txt"] = "".join(
    f"{v}\n" for v in VIDEOS if f"_g0{fold}_" in v
  )


class Ucf101Test(source_case.SourceCase):

  def test_every_video_once_and_folds_as_subsets(self):
    for folder in ("UCF-101/", ""):
      with self.subTest(folder):
        self.setUp()
        listing = clips_of_ucf101(self.make(LISTS, [f"{folder}{name}" for name in VIDEOS]))
        self.assertEqual(listing.label_names, ["Archery", "HandstandPushups"])
        self.assertEqual(
          self.summary(listing),
          [("all", folder + v, (None, None), (v.split("/")[0],)) for v in VIDEOS],
        )
        self.assertEqual([r.media_id for r in listing.requests], VIDEOS)
        self.assertEqual(
          list(listing.subsets), ["train1", "test1", "train2", "test2", "train3", "test3"]
        )
        self.assertEqual(listing.subsets["test2"], [VIDEOS[1], VIDEOS[4]])
        self.assertEqual(listing.subsets["train3"], [v for v in VIDEOS if "_g03_" not in v])
        self.assert_notes(listing)

  def test_missing_and_superfluous_videos_are_told(self):
    names = [f"UCF-101/{name}" for name in VIDEOS[1:]]
    listing = clips_of_ucf101(self.make(LISTS, [*names, "UCF-101/Archery/mine.avi"]))
    self.assertLen(listing.requests, 6)
    self.assert_notes(listing, r"1 of 6 listed clips \(16.7%\)", "skipped: 1, .*mine.avi")

  def test_missing_lists_are_named(self):
    lists = {name: text for name, text in LISTS.items() if "testlist02" not in name}
    root = self.make({n: t for n, t in lists.items() if "classInd" not in n}, VIDEOS)
    with self.assertRaisesRegex(ListError, "(?s)missing '.*classInd.txt', '.*testlist02.txt'. Exp"):
      clips_of_ucf101(root)

  def test_no_videos(self):
    with self.assertRaisesRegex(ListError, "(?s)None of the 6 listed files.*v_Archery.*Expected"):
      clips_of_ucf101(self.make(LISTS))

  def test_wrong_lists(self):
    for name, content, problem in (
      ("classInd.txt", "1 Archery\n3 HandstandPushups\n", "row 2: '3'.*expected number 2"),
      ("classInd.txt", "1\n", "row 1: '1'; expected 2 words"),
      ("trainlist01.txt", f"{VIDEOS[1]} 2\n", "row 1: class '2', but 'Archery' is number 1"),
      ("trainlist01.txt", "v_Archery_g01_c01.avi 1\n", "row 1: .*expected <Class>/<video>"),
      ("testlist01.txt", "Cooking/a.avi\n", "row 1: 'Cooking/a.avi'; expected <Class>/<video>"),
      ("testlist01.txt", f"{VIDEOS[0]}\n" * 2, "testlist01.txt lists a video twice"),
      ("testlist01.txt", f"{VIDEOS[1]}\n", "both the training and the test list of a fold"),
    ):
      with self.subTest(problem), self.assertRaisesRegex(ListError, problem):
        clips_of_ucf101(self.make({**LISTS, f"ucfTrainTestlist/{name}": content}, VIDEOS))


if __name__ == "__main__":
  absltest.main()
