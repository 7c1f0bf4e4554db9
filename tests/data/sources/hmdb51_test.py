"""Tests of listing HMDB-51."""

from absl.testing import absltest

from avssl_tf.data.sources.hmdb51 import clips_of_hmdb51
from avssl_tf.data.sources.listings.listing import ListError
from tests.data.sources import source_case

NAMES = {label: [f"{label}_#{n}(x)!.avi" for n in range(3)] for label in ("brush_hair", "wave")}
VIDEOS = [f"{label}/{name}" for label, names in NAMES.items() for name in names]
# In fold f, video number n is for training, testing, or neither.
LISTS = {
  f"testTrainMulti_7030_splits/{label}_test_split{fold}.txt": "".join(
    f"{name} {(number + fold) % 3} \n" for number, name in enumerate(names)
  )
  for label, names in NAMES.items()
  for fold in (1, 2, 3)
}


class Hmdb51Test(source_case.SourceCase):

  def test_every_video_once_and_folds_as_subsets(self):
    listing = clips_of_hmdb51(self.make(LISTS, [f"hmdb51_org/{name}" for name in VIDEOS]))
    self.assertEqual(listing.label_names, ["brush_hair", "wave"])
    self.assertEqual(
      self.summary(listing),
      [("all", f"hmdb51_org/{v}", (None, None), (v.split("/")[0],)) for v in VIDEOS],
    )
    # Fold 1: training on number 0, test on 1; fold 3: training on number 1, test on 2.
    self.assertEqual(listing.subsets["train1"], [VIDEOS[0], VIDEOS[3]])
    self.assertEqual(listing.subsets["test1"], [VIDEOS[1], VIDEOS[4]])
    self.assertEqual(listing.subsets["train3"], [VIDEOS[1], VIDEOS[4]])
    self.assertEqual(listing.subsets["test3"], [VIDEOS[2], VIDEOS[5]])
    self.assert_notes(listing)

  def test_missing_and_superfluous_videos_are_told(self):
    listing = clips_of_hmdb51(self.make(LISTS, [*VIDEOS[:5], "wave/mine.avi"]))
    self.assertLen(listing.requests, 6)
    self.assert_notes(listing, "1 of 6 listed clips", "skipped: 1, .*'wave/mine.avi'")

  def test_missing_lists_are_named(self):
    lists = {name: text for name, text in LISTS.items() if "wave_test_split2" not in name}
    with self.assertRaisesRegex(ListError, "lacks 1 lists: wave_test_split2.txt"):
      clips_of_hmdb51(self.make(lists, VIDEOS))

  def test_no_lists_or_videos(self):
    with self.assertRaisesRegex(ListError, "(?s)No lists .*7030_splits'. Expected:.*<class>"):
      clips_of_hmdb51(self.make({}, VIDEOS))
    self.setUp()
    with self.assertRaisesRegex(ListError, "None of the 6 listed files"):
      clips_of_hmdb51(self.make(LISTS))

  def test_wrong_lists(self):
    name = "testTrainMulti_7030_splits/wave_test_split1.txt"
    for content, problem in (
      ("a.avi 3\n", "row 1: '3' after the video; expected 0, 1 or 2"),
      ("\na.avi\n", "row 2: 'a.avi'; expected 2 words"),
      ("a.avi 1\na.avi 2\n", "row 2: 'a.avi' is listed twice"),
    ):
      with self.subTest(problem), self.assertRaisesRegex(ListError, f"{name}, {problem}"):
        clips_of_hmdb51(self.make({**LISTS, name: content}, VIDEOS))


if __name__ == "__main__":
  absltest.main()
