"""Tests of the builder: its output, and robustness to interruptions."""

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf.data.building import finish
from avssl_tf.data.building.build import build
from avssl_tf.data.records import encoding, schema
from avssl_tf.data.records.dataset_info import DatasetInfo
from tests.data.building import build_case, fake_source
from tests.data.building.build_case import GOOD, all_bytes

REPOSITORY = os.path.dirname(
  os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
)


class Killed(BaseException):
  """Simulates the end of the process."""


@contextlib.contextmanager
def killed_at(step):
  """Ends a build at its `step`-th change of the file system; yields the count."""
  count = [0]

  def counted(function):
    def call(*args, **kwargs):
      count[0] += 1
      if count[0] >= step:
        raise Killed
      return function(*args, **kwargs)

    return call

  names = ["replace", "remove", "mkdir"]
  with contextlib.ExitStack() as stack:
    for name in names:
      stack.enter_context(mock.patch.object(os, name, counted(getattr(os, name))))
    rmtree = mock.patch.object(shutil, "rmtree", counted(shutil.rmtree))
    stack.enter_context(rmtree)
    yield count


class BuildTest(build_case.BuildCase):
  def test_records_are_numbered_densely_and_found_by_their_offsets(self):
    info = build(fake_source.recipe(self.inputs), self.output, 0).info
    self.assertEqual(info, DatasetInfo.load(self.output))
    for split, starts in (
      # Remainders of 1.5 s are clips, one of 0.5 s is not; one file lasts 1.5 s.
      ("train", ["00@0", "00@2", "01@0", "02@0", "02@2", "02@4", "04@0", "05@0", "05@2", "06@0"]
       + ["08@0", "08@2", "08@4", "08@6", "09@0"]),
      ("test", ["03@0", "03@2", "03@4", "07@0", "07@2"]),
    ):  # fmt: skip
      self.assertLen(info.shards(split), 3)
      found = []
      for shard in info.shards(split):
        path = os.path.join(self.output, shard.file)
        in_order = list(encoding.read_file(path))
        self.assertEqual(in_order, [encoding.read_record(path, o) for o in shard.offsets])
        found.extend(in_order)
      self.assertEqual([encoding.read_index(r) for r in found], list(range(len(starts))))
      contexts = [tf.train.SequenceExample.FromString(r).context.feature for r in found]
      ids = [c[schema.EXAMPLE_ID].bytes_list.value[0].decode() for c in contexts]
      self.assertEqual(ids, [f"{start}.000" for start in starts])
      labels = [c[schema.LABEL_INDEX].int64_list.value[0] for c in contexts]
      self.assertEqual(labels, [int(start[:2]) % 2 for start in starts])
      table = info.records(split)
      self.assertEqual(table.ids, ids)
      self.assertAllEqual(table.labels, labels)
      self.assertIsNone(table.sound_replaced)
    self.assertEqual(info.modalities, ["video", "audio"])

  def test_statistics_are_those_of_the_training_split(self):
    info = build(fake_source.recipe(self.inputs), self.output, 0).info
    values = [
      fake_source.SPECTROGRAM(encoding.read_waveform(record)[np.newaxis])[0, :, :, 0]
      for shard in info.shards("train")
      for record in encoding.read_file(os.path.join(self.output, shard.file))
    ]
    values = np.concatenate(values).astype(np.float64)
    statistics = info.spectrogram_statistics[fake_source.SPECTROGRAM.id]
    self.assertAllClose(statistics["mean"], values.mean(0), atol=1e-4, rtol=0)
    self.assertAllClose(statistics["std"], values.std(0), atol=1e-4, rtol=0)

  def test_bytes_do_not_depend_on_the_number_of_processes(self):
    self.break_files()
    result = build(fake_source.recipe(self.inputs), self.output, 2, 0.5)
    self.assertEqual(all_bytes(self.output), self.reference())
    self.assertLen(result.failures, 3)
    self.assertFalse(result.was_complete)

  def test_killed_at_any_step_it_goes_on_to_the_same_bytes(self):
    self.break_files()
    expected = self.reference(num_shards=1)
    recipe = fake_source.recipe(self.inputs, num_shards=1)
    with killed_at(10**9) as count:
      build(recipe, self.output, 0, 0.9)
    self.assertGreater(count[0], 12)
    for step in range(1, count[0] + 1):
      directory = self.new_folder()
      with self.assertRaises(Killed), killed_at(step):
        build(recipe, directory, 0, 0.9)
      build(recipe, directory, 0, 0.9)
      self.assertEqual(all_bytes(directory), expected, f"killed at step {step}")
      left = [name for _, _, names in os.walk(directory) for name in names if ".tmp" in name]
      self.assertEmpty(left)

  def test_going_on_reads_only_what_is_missing(self):
    recipe = fake_source.recipe(self.inputs)
    with self.assertRaises(Killed), killed_at(14):
      build(recipe, self.output, 0)
    done = len(glob.glob(os.path.join(self.output, ".build", "0", "*.json")))
    self.assertGreater(done, 0)
    with mock.patch.object(
      fake_source.FakeReader, "read", autospec=True, side_effect=fake_source.FakeReader.read
    ) as read, mock.patch.object(fake_source.FakeReader, "probe") as probe:
      build(recipe, self.output, 0)
    probe.assert_not_called()
    self.assertGreater(read.call_count, 0)
    self.assertLess(read.call_count, 20)
    with mock.patch.object(fake_source.FakeReader, "read") as read:
      self.assertTrue(build(recipe, self.output, 0).was_complete)
    read.assert_not_called()

  def test_records_are_written_once_unless_a_clip_fails(self):
    with mock.patch.object(encoding, "with_index") as numbered:
      build(fake_source.recipe(self.inputs), self.output, 0)
    numbered.assert_not_called()
    # The first of three files of the split has no gap; the others begin with another number.
    self.break_files({0: "4.0 bad 0.0"})
    with mock.patch.object(encoding, "with_index", side_effect=encoding.with_index) as numbered:
      build(fake_source.recipe(self.inputs), self.new_folder(), 0)
    self.assertEqual(numbered.call_count, 2 * 5)

  def test_records_that_an_earlier_version_encoded_are_numbered(self):
    self.break_files({0: "4.0 bad 0.0"})
    expected = self.reference()
    recipe = fake_source.recipe(self.inputs)
    with mock.patch.object(finish, "write_final_shards", side_effect=Killed):
      with self.assertRaises(Killed):
        build(recipe, self.output, 0, 0.9)
    for path in glob.glob(os.path.join(self.output, ".build", "0", "*.json")):
      with open(path, encoding="utf-8") as f:
        state = json.load(f)
      del state["first_index"]
      with open(path, "w", encoding="utf-8") as f:
        json.dump(state, f)
    build(recipe, self.output, 0, 0.9)
    self.assertEqual(all_bytes(self.output), expected)

  def test_a_build_killed_with_its_workers_goes_on(self):
    expected = self.reference(delay_sec=0.05)
    command = [sys.executable, fake_source.__file__, self.inputs, self.output, "2"]
    environment = {**os.environ, "PYTHONPATH": REPOSITORY, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not glob.glob(os.path.join(self.output, ".build", "0", "*.json")):
      self.assertIsNone(process.poll(), "It was to be killed, but has ended already.")
      time.sleep(0.01)
    process.kill()
    process.wait()
    self.assertNotIn("dataset_info.json", os.listdir(self.output))
    build(fake_source.recipe(self.inputs, delay_sec=0.05), self.output, 0)
    self.assertEqual(all_bytes(self.output), expected)

  def test_failures_are_listed_with_their_reasons(self):
    self.break_files()
    build(fake_source.recipe(self.inputs), self.output, 0, 0.9)
    with open(os.path.join(self.output, "failures.jsonl")) as f:
      failures = [json.loads(line) for line in f]
    self.assertEqual(
      [(os.path.basename(f["path"]), f["start_sec"], f["end_sec"], f["reason"]) for f in failures],
      [
        ("02", None, None, "not a video: it is a test"),
        ("05", 2.0, 4.0, "damaged: at 2.0 s"),
        ("08", 0.0, 2.0, "damaged: at 0.0 s"),
      ],
    )

  def test_retried_failures_leave_no_trace(self):
    expected = self.reference()
    self.break_files()
    build(fake_source.recipe(self.inputs), self.output, 0, 0.9)
    self.assertNotEqual(all_bytes(self.output), expected)
    fake_source.write_files(self.inputs, GOOD)
    recipe = fake_source.recipe(self.inputs)
    with mock.patch.object(
      fake_source.FakeReader, "read", autospec=True, side_effect=fake_source.FakeReader.read
    ) as read:
      result = build(recipe, self.output, 0, retry_failed=True)
    self.assertEqual(read.call_count, 3 + 1 + 1)  # The clips of 02, one of 05, one of 08.
    self.assertEmpty(result.failures)
    self.assertEqual(all_bytes(self.output), expected)
    self.assertTrue(build(recipe, self.output, 0, retry_failed=True).was_complete)

  def test_a_retry_killed_at_any_step_goes_on(self):
    expected = self.reference()
    for step in range(1, 60, 4):
      directory = self.new_folder()
      self.break_files()
      build(fake_source.recipe(self.inputs), directory, 0, 0.9)
      fake_source.write_files(self.inputs, GOOD)
      recipe = fake_source.recipe(self.inputs)
      try:
        with killed_at(step):
          build(recipe, directory, 0, retry_failed=True)
      except Killed:
        build(recipe, directory, 0, retry_failed=True)
      self.assertEqual(all_bytes(directory), expected, f"killed at step {step}")

  def test_a_deleted_shard_is_built_again(self):
    recipe = fake_source.recipe(self.inputs)
    info = build(recipe, self.output, 0).info
    expected = all_bytes(self.output)
    os.remove(os.path.join(self.output, info.shards("train")[1].file))
    self.assertFalse(build(recipe, self.output, 0).was_complete)
    self.assertEqual(all_bytes(self.output), expected)


if __name__ == "__main__":
  tf.test.main()
