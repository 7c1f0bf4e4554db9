"""Tests of listing AudioSet."""

from absl.testing import absltest, parameterized

from avssl_tf.data.sources.audioset import clips_of_audioset
from avssl_tf.data.sources.listings.listing import ListError
from tests.data.sources import source_case

CLASSES = (
  "index,mid,display_name\n0,/m/09x0r,Speech\n"
  '1,/m/0ytgt,"Child speech, kid speaking"\n2,/m/0bt9lr,Dog\n'
)
HEADER = (
  "# Segments csv created Sun Mar  5 10:54:31 2017\n"
  "# num_ytids=2, num_segs=2, num_unique_labels=3, num_positive_labels=3\n"
  "# YTID, start_seconds, end_seconds, positive_labels\n"
)
TRAIN = HEADER + (
  '--PJHxphWEs, 30.000, 40.000, "/m/0bt9lr,/m/09x0r"\n'
  '-1_underscor, 0.500, 10.500, "/m/0ytgt"\n'
)
EVAL = HEADER + '4_evaluation, 5.000, 15.000, "/m/09x0r"\n'
LISTS = {
  "class_labels_indices.csv": CLASSES,
  "balanced_train_segments.csv": TRAIN,
  "eval_segments.csv": EVAL,
}
WHOLE = (None, None)


class AudiosetTest(source_case.SourceCase):

  def test_official_lists(self):
    root = self.make(
      LISTS,
      ["balanced_train/--PJHxphWEs_30.mp4", "-1_underscor.mkv", "eval/4_evaluation_5000_15000.mp4"],
    )
    listing = clips_of_audioset(root)
    self.assertEqual(listing.label_names, ["Speech", "Child speech, kid speaking", "Dog"])
    self.assertEqual(
      self.summary(listing),
      [
        ("train", "balanced_train/--PJHxphWEs_30.mp4", WHOLE, ("Dog", "Speech")),
        ("train", "-1_underscor.mkv", (0.5, 10.5), ("Child speech, kid speaking",)),
        ("test", "eval/4_evaluation_5000_15000.mp4", WHOLE, ("Speech",)),
      ],
    )
    self.assert_notes(listing)

  @parameterized.parameters(
    "_30", "_30_40", "_30.000", "_30.000_40.000", "_30.0", "_000030_000040", "_30000_40000",
    "_30000",
  )
  def test_names_of_files(self, ending):
    name = f"clips/--PJHxphWEs{ending}.mp4"
    root = self.make(LISTS, [name])
    self.assertEqual(self.summary(clips_of_audioset(root))[0][1:3], (name, WHOLE))

  @parameterized.parameters("0.5_10.5", "500_10500", "0_10")
  def test_times_with_a_fraction(self, ending):
    name = f"-1_underscor_{ending}.mp4"
    root = self.make(LISTS, [name])
    self.assertEqual(self.summary(clips_of_audioset(root))[1][1:3], (name, WHOLE))

  def test_missing_files_and_lists_elsewhere(self):
    lists = {f"csv/{name}": content for name, content in LISTS.items()}
    root = self.make(lists, ["eval/4_evaluation_5_15.mp4", "x.mp4", "balanced_train/y.mp4"])
    listing = clips_of_audioset(root)
    self.assert_notes(listing, "2 of 3 listed clips.*66.7%.*max_failure_rate", "skipped: 2,")
    self.assertEqual(self.summary(listing)[0][1], "balanced_train/--PJHxphWEs_30_40.mp4")
    chosen = clips_of_audioset(root, [self.path("csv/eval_segments.csv")])
    self.assertEqual([r.split for r in chosen.requests], ["test"])

  def test_what_is_missing_is_named(self):
    with self.assertRaisesRegex(ListError, "(?s)No class_labels_indices.csv in.*Expected:.*YTID"):
      clips_of_audioset(self.make({"eval_segments.csv": EVAL}))
    self.make({"class_labels_indices.csv": CLASSES})
    with self.assertRaisesRegex(ListError, "None of the 1 listed.*_5_15.mp4'.* 0 other"):
      clips_of_audioset(self.folder)

  def test_no_segments(self):
    with self.assertRaisesRegex(ListError, "No lists of segments"):
      clips_of_audioset(self.make({"class_labels_indices.csv": CLASSES}))

  def test_wrong_lists(self):
    for name, content, problem in (
      ("eval_segments.csv", "4_evaluation, 5.0, 15.0\n", "row 1: 3 fields; expected 4"),
      ("eval_segments.csv", 'a, 5.0, 15.0, "/m/none"\n', "row 1: label '/m/none' is not in"),
      ("eval_segments.csv", HEADER + 'a, 5, 5, "/m/09x0r"\n', "row 4: end_seconds 5 is not after"),
      ("eval_segments.csv", HEADER + 'a, x, 5, "/m/09x0r"\n', "row 4: start_seconds is 'x'"),
      ("eval_segments.csv", EVAL + EVAL, "row 8: duplicate of .*eval_segments.csv, row 4"),
      ("class_labels_indices.csv", "index,mid\n", "no column 'display_name'"),
      ("class_labels_indices.csv", CLASSES + "4,/m/1,Cat\n", "row 5: index '4'; expected 3"),
      ("class_labels_indices.csv", CLASSES + "3,/m/1,Dog\n", "a class is listed twice"),
    ):
      with self.subTest(problem), self.assertRaisesRegex(ListError, problem):
        clips_of_audioset(self.make({**LISTS, name: content}, ["4_evaluation_5_15.mp4"]))

  def test_a_list_of_another_name(self):
    root = self.make({**LISTS, "mine.csv": EVAL})
    with self.assertRaisesRegex(ListError, "mine.csv: the name determines the split"):
      clips_of_audioset(root, [self.path("mine.csv")])


if __name__ == "__main__":
  absltest.main()
