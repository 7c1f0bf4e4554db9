"""Tests of named selections of clips: from media ids to record positions."""

import tensorflow as tf

from avssl_tf.data.building import subsets
from avssl_tf.data.building.build import build
from avssl_tf.data.building.work_folder import BuildError
from avssl_tf.data.pipeline import datasets
from tests.data.building import build_case, fake_source
from tests.data.building.build_case import GOOD

# Files 3 and 7 are test files, the others training files.
FOLDS = {"train1": ["00", "04", "02"], "test1": ["02", "01", "02"], "tested": ["07"]}


class SubsetsTest(build_case.BuildCase):
  def build(self, chosen, **more):
    return build(fake_source.recipe(self.inputs, subsets=chosen), self.output, 0, 0.9, **more)

  def ids(self, info, name):
    return [example_id.split(".")[0] for example_id in info.records(name).ids]

  def test_all_records_of_the_files_named_in_the_order_of_the_split(self):
    result = self.build(FOLDS)
    self.assertEqual(
      self.ids(result.info, "train1"), ["00@0", "00@2", "02@0", "02@2", "02@4", "04@0"]
    )
    self.assertEqual(self.ids(result.info, "test1"), ["01@0", "02@0", "02@2", "02@4"])
    self.assertEqual(self.ids(result.info, "tested"), ["07@0", "07@2"])
    self.assertEqual(result.info.subsets["tested"].split, "test")
    self.assertEqual(result.missing, {})

  def test_batches_of_a_subset_hold_its_clips_alone(self):
    info = self.build(FOLDS).info
    clip = datasets.ClipSpec(num_frames=2, frame_rate_hz=4, frame_size=16, audio_sec=0.5)
    for name in ("test1", "tested", "test1[1:3]"):
      (batch,) = datasets.evaluation_dataset(self.output, name, clip, 10)
      ids = [key.decode() for key in batch["key"].numpy()]
      self.assertEqual(ids, info.records(name).ids)
      self.assertAllEqual(batch["label"], info.records(name).labels)
      self.assertAllEqual(batch["index"], range(len(ids)))
    stream = datasets.training_dataset(self.output, "test1", clip, None, batch_size=4, seed=1)
    drawn = {key for batch in stream.take(8) for key in batch["key"].numpy()}
    self.assertEqual(drawn, {i.encode() for i in info.records("test1").ids})

  def test_other_subsets_of_the_same_records_encode_nothing_anew(self):
    self.build(FOLDS)
    result = self.build({"fold1": ["05"]})
    self.assertTrue(result.was_complete)
    self.assertEqual(list(result.info.subsets), ["fold1"])
    self.assertEqual(self.ids(result.info, "fold1"), ["05@0", "05@2"])

  def test_missing_clips_are_told_and_come_back_when_they_are_repaired(self):
    self.break_files()
    result = self.build({**FOLDS, "fold1": ["06"], "fold2": ["08", "05"]})
    self.assertEqual(result.missing, {"train1": ["02"], "test1": ["02"], "fold2": ["08", "05"]})
    self.assertEqual(self.ids(result.info, "test1"), ["01@0"])
    self.assertEqual(self.ids(result.info, "fold2"), ["05@0", "08@2", "08@4", "08@6"])
    self.assertIn("fold2: clips of 2 files are missing, such as '08', '05'",
                  subsets.describe_missing(result.missing))  # fmt: skip
    fake_source.write_files(self.inputs, GOOD)
    result = self.build(FOLDS, retry_failed=True)
    self.assertEqual(result.missing, {})
    self.assertEqual(self.ids(result.info, "test1"), ["01@0", "02@0", "02@2", "02@4"])

  def test_a_subset_of_which_nothing_could_be_built_is_an_error(self):
    self.break_files()
    with self.assertRaisesRegex(BuildError, "None of the 1 clips of subset 'fold1'.*'02'"):
      self.build({"fold1": ["02"]})

  def test_lists_that_make_no_sense_are_refused_before_the_work(self):
    for chosen, message in (
      ({"train": ["00"]}, "has the name of a split"),
      ({"train[1]": ["00"]}, "without brackets"),
      ({"fold1": []}, "is empty"),
      ({"fold1": ["00", "x", "y", "z", "w"]}, "4 clips that the source does not have: 'x', .*"),
      ({"fold1": ["00", "03"]}, r"clips of the splits \['test', 'train'\]"),
    ):
      with self.subTest(message), self.assertRaisesRegex(BuildError, message):
        self.build(chosen)


if __name__ == "__main__":
  tf.test.main()
