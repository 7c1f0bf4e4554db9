"""Tests of the checks: a good data set passes, and each kind of damage is found."""

import dataclasses
import os
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.data.records import encoding, schema
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.record import Record
from avssl_tf.data.records.survey import check_clip, survey
from tests import test_base
from tests.data.building import build_case


class ChecksTest(test_base.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.data_dir, self.info = build_case.build_small(folder.name)

  def problems(self):
    return survey(self.data_dir, DatasetInfo.load(self.data_dir)).problems

  def path(self, split, number):
    return os.path.join(self.data_dir, self.info.shards(split)[number].file)

  def change(self, edit, split="train", number=0):
    """Edits the first record of a shard, in place."""
    path = self.path(split, number)
    examples = [tf.train.SequenceExample.FromString(r) for r in encoding.read_file(path)]
    edit(examples[0].context.feature, examples[0].feature_lists.feature_list)
    with tf.io.TFRecordWriter(path) as writer:
      for example in examples:
        writer.write(example.SerializeToString())

  def assert_problem(self, pattern):
    self.assertTrue(
      any(pattern in problem for problem in self.problems()), f"{pattern!r}: {self.problems()}"
    )

  def test_a_good_data_set_passes(self):
    begun = []
    found = survey(self.data_dir, self.info, num_samples=3, on_progress=begun.append)
    self.assertEmpty(found.problems)
    self.assertEqual(dict(found.num_clips), {"train": 4, "test": 2})
    self.assertEqual(dict(found.duration_sec), {"train": 8.0, "test": 4.0})
    self.assertEqual(dict(found.frame_sizes), {(16, 24): 6})
    self.assertEqual(
      dict(found.labels), {("even", "train"): 3, ("odd", "train"): 1, ("odd", "test"): 2}
    )
    self.assertEqual([clip.example_id for clip in found.samples],
                     ["03@0.000", "00@0.000", "02@0.000"])  # fmt: skip
    self.assertEqual(begun, [1, 2, 3, 4, 5, 6])

  def test_bad_sound_is_found(self):
    clip = next(encoding.read_file(self.path("train", 0)))
    clip = Record.parse(clip)
    self.assertEmpty(check_clip(clip, self.info))
    for pattern, waveform in (
      ("silent", np.full_like(clip.waveform, 1e-5)),
      ("more than 1", clip.waveform * 2),
      ("non-finite", np.where(np.arange(1600)[:, np.newaxis] == 9, np.nan, clip.waveform)),
      ("of shape (1599, 1)", clip.waveform[1:]),
      ("no audio samples", clip.waveform[:0]),
    ):
      found = check_clip(dataclasses.replace(clip, waveform=waveform), self.info)
      self.assertTrue(any(pattern in problem for problem in found), f"{pattern!r}: {found}")

  def test_drift_beyond_a_frame_is_found(self):
    clip = Record.parse(next(encoding.read_file(self.path("train", 0))))
    for num_samples, drifts in ((1600, False), (1400, False), (1399, True), (1801, True)):
      waveform = np.resize(clip.waveform, (num_samples, 1))
      changed = dataclasses.replace(clip, waveform=waveform, num_samples=num_samples)
      found = check_clip(changed, self.info)
      self.assertEqual(any("longer than the audio" in problem for problem in found), drifts)

  def test_timestamps_that_drift_are_found(self):
    clip = Record.parse(next(encoding.read_file(self.path("train", 0))))
    self.assertLen(clip.frames, 8)  # At 4 Hz.
    for stretch, drifts in ((1.0, False), (1.1, False), (1.2, True), (0.8, True)):
      times = np.int64(clip.timestamps_us * stretch)
      found = check_clip(dataclasses.replace(clip, timestamps_us=times), self.info)
      self.assertEqual(any("drift" in problem for problem in found), drifts, f"{stretch}: {found}")

  def test_missing_and_double_indexes_are_found(self):
    def edit(context, lists):
      context[schema.CLIP_INDEX].int64_list.value[:] = [1]

    self.change(edit)
    self.assert_problem("clip/index is 1; expected 0")

  def test_double_ids_are_found(self):
    def edit(context, lists):
      context[schema.EXAMPLE_ID].bytes_list.value[:] = [b"02@0.000"]

    self.change(edit)
    self.assert_problem("duplicate id '02@0.000'")

  def test_frames_that_do_not_decode_are_found(self):
    def edit(context, lists):
      lists[schema.IMAGE_ENCODED].feature[0].bytes_list.value[:] = [b"no picture"]

    self.change(edit)
    self.assert_problem("frame 0 cannot be decoded")

  def test_frames_without_timestamps_are_found(self):
    def edit(context, lists):
      del lists[schema.IMAGE_TIMESTAMP].feature[0]

    self.change(edit)
    self.assert_problem("8 frames, but 7 timestamps")

  def test_other_sizes_and_rates_than_promised_are_found(self):
    def edit(context, lists):
      context[schema.IMAGE_HEIGHT].int64_list.value[:] = [20]
      context[schema.SAMPLE_RATE].float_list.value[:] = [900]
      context[schema.LABEL_INDEX].int64_list.value[:] = [1]

    self.change(edit)
    self.assert_problem("frame 0 is (16, 24); expected (20, 24)")
    self.assert_problem("audio at 900 Hz; expected 800 Hz")
    self.assert_problem("label 1 is named 'even'")

  def test_missing_features_are_found(self):
    def edit(context, lists):
      del context[schema.NUM_CHANNELS]

    self.change(edit)
    self.assert_problem("a feature of the schema is missing")

  def test_wrong_offsets_are_found(self):
    self.info.splits["train"][0].offsets[0] += 1
    self.info.save(self.data_dir)
    self.assert_problem("the offsets in dataset_info.json do not match the file")

  def test_another_listing_is_found(self):
    self.info.splits["train"][0].ids[0] = "another"
    self.info.save(self.data_dir)
    self.assert_problem("'00@0.000', 0), but ('another', 0) in dataset_info.json")

  def test_damaged_and_missing_files_are_found(self):
    with open(self.path("train", 0), "rb+") as f:
      f.seek(100)
      f.write(b"damage")
    os.remove(self.path("test", 0))
    self.assert_problem(f"The rest of {self.info.shards('train')[0].file} cannot be read")
    self.assert_problem("is missing")
    self.assert_problem("Split 'test' has 1 readable records; expected 2")


if __name__ == "__main__":
  tf.test.main()
