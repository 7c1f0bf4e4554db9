"""Tests of listing ESC-50."""

from absl.testing import absltest

from avssl_tf.data.sources.esc50 import clips_of_esc50
from avssl_tf.data.sources.listings.listing import ListError
from tests.data.sources import source_case

HEADER = "filename,fold,target,category,esc10,src_file,take\n"
ROWS = [
  f"{fold}-{fold}000-A-{target}.wav,{fold},{target},{category},False,1000,A\n"
  for fold in (1, 2, 3, 4, 5)
  for target, category in ((1, "crow"), (0, "dog"))
]
SOUNDS = [row.split(",")[0] for row in ROWS]


class Esc50Test(source_case.SourceCase):

  def test_every_sound_once_and_folds_as_subsets(self):
    for folder in ("", "ESC-50-master/"):
      with self.subTest(folder):
        self.setUp()
        root = self.make(
          {f"{folder}meta/esc50.csv": HEADER + "".join(ROWS)},
          [f"{folder}audio/{name}" for name in SOUNDS],
        )
        listing = clips_of_esc50(root)
        self.assertEqual(listing.label_names, ["dog", "crow"])
        self.assertEqual(
          self.summary(listing)[:2],
          [
            ("all", f"{folder}audio/1-1000-A-0.wav", (None, None), ("dog",)),
            ("all", f"{folder}audio/1-1000-A-1.wav", (None, None), ("crow",)),
          ],
        )
        self.assertLen(listing.requests, 10)
        self.assertEqual(sorted(listing.subsets), [f"fold{n}" for n in (1, 2, 3, 4, 5)])
        self.assertEqual(listing.subsets["fold3"], ["3-3000-A-0.wav", "3-3000-A-1.wav"])
        self.assert_notes(listing)

  def test_missing_and_superfluous_sounds_are_told(self):
    root = self.make(
      {"meta/esc50.csv": HEADER + "".join(ROWS)}, [f"audio/{n}" for n in [*SOUNDS[1:], "x.wav"]]
    )
    self.assert_notes(clips_of_esc50(root), "1 of 10 listed clips", "skipped: 1, .*'x.wav'")

  def test_what_is_missing_is_named(self):
    with self.assertRaisesRegex(ListError, "(?s)esc50.csv' is missing.*Expected.*meta/esc50.csv"):
      clips_of_esc50(self.make({}, ["audio/a.wav"]))
    self.make({"meta/esc50.csv": HEADER + "".join(ROWS)})
    with self.assertRaisesRegex(ListError, "None of the 10 listed files"):
      clips_of_esc50(self.folder)
    self.setUp()
    with self.assertRaisesRegex(ListError, "audio' is missing"):
      clips_of_esc50(self.make({"meta/esc50.csv": HEADER}))

  def test_wrong_lists(self):
    for content, problem in (
      (HEADER.replace("target", "class"), "row 1: no column 'target'"),
      (HEADER + ROWS[0].replace(",1,1,", ",6,1,"), "row 2: fold '6'; expected 1 to 5"),
      (HEADER + ROWS[0] * 2, "row 3: '1-1000-A-1.wav' is listed twice"),
      (HEADER + ROWS[1] + ROWS[2].replace(",2,1,", ",2,0,"), "row 3: target '0' of .*'crow'"),
      (HEADER + ROWS[0], r"targets \[1\] for 1 categories; expected 0, 1"),
    ):
      with self.subTest(problem), self.assertRaisesRegex(ListError, problem):
        clips_of_esc50(self.make({"meta/esc50.csv": content}, ["audio/1-1000-A-1.wav"]))


if __name__ == "__main__":
  absltest.main()
