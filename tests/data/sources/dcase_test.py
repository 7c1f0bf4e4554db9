"""Tests of listing the acoustic scenes of DCASE."""

from absl.testing import absltest, parameterized

from avssl_tf.data.sources.dcase import clips_of_dcase
from avssl_tf.data.sources.listings.listing import ListError
from tests.data.sources import source_case

SCENES = [f"{scene}{n:02d}.wav" for scene in ("bus", "tube", "tubestation") for n in range(1, 11)]
LISTS = {
  "meta.txt": "audio/a.wav\tpark\naudio/b.wav\tbus\naudio/c.wav\tbus\n",
  "evaluation_setup/fold1_train.txt": "audio/a.wav\tpark\naudio/b.wav\tbus\n",
  "evaluation_setup/fold1_test.txt": "audio/c.wav\n",
  "evaluation_setup/fold1_evaluate.txt": "audio/c.wav\tbus\n",
}
FOLD2 = {
  "evaluation_setup/fold2_train.txt": "audio/c.wav\tbus\n",
  "evaluation_setup/fold2_test.txt": "audio/a.wav\naudio/b.wav\n",
}
AUDIO = ["audio/a.wav", "audio/b.wav", "audio/c.wav"]


class Dcase2013Test(source_case.SourceCase):

  @parameterized.parameters(
    ("scenes_stereo/{}", "scenes_stereo_testset/{}"),
    ("scenes_stereo/scenes_stereo/{}", "scenes_stereo_testset/scenes_stereo_testset/test_{}"),
  )
  def test_names_tell_the_scenes(self, train, test):
    names = [train.format(n) for n in SCENES] + [test.format(n) for n in SCENES]
    listing = clips_of_dcase(self.make({"scenes_stereo/README.txt": ""}, names))
    self.assertEqual(listing.label_names, ["bus", "tube", "tubestation"])
    self.assertEqual([r.split for r in listing.requests], ["train"] * 30 + ["test"] * 30)
    self.assertEqual(
      self.summary(listing)[10], ("train", train.format("tube01.wav"), (None, None), ("tube",))
    )
    self.assertEqual(listing.requests[30].media_id, test.format("bus01.wav"))
    self.assertEqual(listing.requests[-1].labels, ("tubestation",))
    self.assertEqual(listing.subsets, {})
    self.assert_notes(listing)

  def test_another_number_of_recordings_is_told(self):
    names = [f"scenes_stereo/{n}" for n in SCENES] + [f"scenes_stereo_testset/{n}" for n in SCENES]
    listing = clips_of_dcase(self.make({}, names[1:]))
    self.assert_notes(listing, "scenes_stereo' has 9 of 'bus'; the challenge has 10")

  def test_errors(self):
    for names, problem in (
      ((), "has no recordings in scenes_stereo and scenes_stereo_testset"),
      (("scenes_stereo/bus01.wav",), "(?s)has no recordings in scenes_stereo_testset. Expected:"),
      (("scenes_stereo_testset/tube01.wav",), r"Scenes \['bus', 'tube'\] are in only one"),
      (("scenes_stereo/1.wav",), "1.wav': expected a scene name followed by two digits"),
    ):
      with self.subTest(problem), self.assertRaisesRegex(ListError, problem):
        clips_of_dcase(self.make({}, names))


class LaterChallengesTest(source_case.SourceCase):

  def test_one_fold_gives_splits(self):
    listing = clips_of_dcase(self.make(LISTS, [*AUDIO, "audio/d.wav"]))
    self.assertEqual(listing.label_names, ["bus", "park"])
    self.assertEqual(
      [(split, name, labels) for split, name, _, labels in self.summary(listing)],
      [
        ("train", "audio/a.wav", ("park",)),
        ("train", "audio/b.wav", ("bus",)),
        ("test", "audio/c.wav", ("bus",)),
      ],
    )
    self.assertEqual(listing.subsets, {})
    self.assert_notes(listing, "skipped: 1, .*'audio/d.wav'")

  def test_several_folds_give_subsets(self):
    listing = clips_of_dcase(self.make({**LISTS, **FOLD2}, AUDIO[:2]))
    self.assertEqual({request.split for request in listing.requests}, {"all"})
    self.assertEqual(listing.subsets["train1"], AUDIO[:2])
    self.assertEqual(listing.subsets["test2"], AUDIO[:2])
    self.assertEqual(listing.subsets["train2"], AUDIO[2:])
    self.assert_notes(listing, "1 of 3 listed clips .*c.wav")

  def test_lists_with_headers(self):
    lists = {
      "meta.csv": "filename\tscene_label\tidentifier\naudio/a.wav\tpark\tx\naudio/c.wav\tbus\ty\n",
      "evaluation_setup/fold1_train.csv": "filename\tscene_label\naudio/a.wav\tpark\n",
      "evaluation_setup/fold1_test.csv": "filename\naudio/c.wav\n",
    }
    listing = clips_of_dcase(self.make(lists, AUDIO))
    self.assertEqual([r.labels for r in listing.requests], [("park",), ("bus",)])

  def test_wrong_lists(self):
    setup = "evaluation_setup/"
    for changes, problem in (
      ({f"{setup}fold1_train.txt": "audio/a.wav,park\n"}, "row 1: .*expected audio/<file>, a tab"),
      ({f"{setup}fold1_evaluate.txt": "audio/z.wav\n"}, "no scene for 'audio/z.wav'"),
      ({f"{setup}fold1_evaluate.txt": "audio/a.wav\tpark\n"}, "both the training and the test"),
      ({f"{setup}fold2_train.txt": "audio/a.wav\tpark\n"}, "fold2_train, but no fold2_evaluate"),
    ):
      with self.subTest(problem), self.assertRaisesRegex(ListError, problem):
        self.setUp()
        clips_of_dcase(self.make({**LISTS, **changes}, AUDIO))

  def test_no_folds(self):
    with self.assertRaisesRegex(ListError, "No fold1_train.txt or .csv"):
      clips_of_dcase(self.make({"evaluation_setup/README": ""}, AUDIO))


if __name__ == "__main__":
  absltest.main()
