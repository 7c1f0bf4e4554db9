"""Tests of what the builder refuses, and that it then changes nothing."""

import os
from unittest import mock

import tensorflow as tf

from avssl_tf.data.building import shards
from avssl_tf.data.building.build import build
from avssl_tf.data.building.work_folder import BuildError, WorkFolder
from avssl_tf.engines import workers
from tests.data.building import build_case, fake_source
from tests.data.building.build_case import GOOD, all_bytes


class RefusalsTest(build_case.BuildCase):
  def test_too_many_failures_end_the_build_but_keep_the_work(self):
    self.break_files()
    recipe = fake_source.recipe(self.inputs)
    message = r"(?s)3 of 18 requested clips.*damaged.*--max_failure_rate=0.1"
    with self.assertRaisesRegex(BuildError, message):
      build(recipe, self.output, 0, 0.1)
    self.assertNotIn("dataset_info.json", os.listdir(self.output))
    with mock.patch.object(
      fake_source.FakeReader, "read", autospec=True, side_effect=fake_source.FakeReader.read
    ) as read:
      build(recipe, self.output, 0, 0.2)
    self.assertLess(read.call_count, 17)
    self.assertEqual(all_bytes(self.output), self.reference())

  def test_the_workers_stop_when_the_build_is_given_up(self):
    self.break_files()
    run, stopped = workers.run, []

    def observed(*args):
      try:
        yield from run(*args)
      finally:
        stopped.append(args[0])

    with mock.patch.object(workers, "run", observed):
      try:
        build(fake_source.recipe(self.inputs), self.output, 0, 0.1)
      except BuildError:  # While the exception is handled, its traceback keeps objects alive.
        self.assertEqual(stopped[-1], shards.build_shard)
      else:
        self.fail("It was expected to fail.")

  def test_files_count_as_much_as_the_many_clips_of_others(self):
    fake_source.write_files(self.inputs, ["400.0", *["unreadable"] * 3, *GOOD[4:]])
    with self.assertRaisesRegex(BuildError, r"3 of 10 requested files or parts of files failed"):
      build(fake_source.recipe(self.inputs), self.output, 0, 0.1)

  def test_nothing_usable_ends_the_build_at_any_rate(self):
    fake_source.write_files(self.inputs, ["unreadable"] * len(GOOD))
    with self.assertRaisesRegex(BuildError, "10 of 10 .*"):
      build(fake_source.recipe(self.inputs), self.output, 0, 1.0)
    with self.assertRaisesRegex(BuildError, "No clips are requested"):
      build(fake_source.recipe(self.inputs, requests=[]), self.output, 0)

  def test_another_recipe_is_refused_unless_overwritten(self):
    build(fake_source.recipe(self.inputs), self.output, 0)
    other = fake_source.recipe(self.inputs, num_shards=2)
    with self.assertRaisesRegex(BuildError, r"(?s)num_shards: 3 -> 2.*--overwrite"):
      build(other, self.output, 0)
    build(other, self.output, 0, overwrite=True)
    self.assertEqual(all_bytes(self.output), self.reference(num_shards=2))

  def test_changed_inputs_are_refused(self):
    recipe = fake_source.recipe(self.inputs)
    build(recipe, self.output, 0)
    changed = os.path.join(self.inputs, "03")
    with open(changed, "w") as f:
      f.write("6.00")
    with self.assertRaisesRegex(BuildError, "1 input file.*03"):
      build(recipe, self.output, 0)
    with open(os.path.join(self.inputs, "10"), "w") as f:
      f.write("2.0")
    with self.assertRaisesRegex(BuildError, "num_requests: 10 -> 11"):
      build(fake_source.recipe(self.inputs), self.output, 0)

  def test_records_of_unknown_origin_are_not_touched(self):
    path = os.path.join(self.output, "train-00000-of-00003.tfrecord")
    with open(path, "wb"):
      pass
    with self.assertRaisesRegex(BuildError, "of unknown origin"):
      build(fake_source.recipe(self.inputs), self.output, 0)
    self.assertTrue(os.path.exists(path))

  def test_two_builds_do_not_work_in_one_folder(self):
    with WorkFolder(self.output), self.assertRaisesRegex(BuildError, "Another build"):
      build(fake_source.recipe(self.inputs), self.output, 0)

  def test_an_output_that_cannot_be_written_is_told(self):
    recipe = fake_source.recipe(self.inputs)
    for path in (os.path.join(self.inputs, "00"), os.path.join(self.inputs, "00", "data")):
      with self.assertRaisesRegex(BuildError, f"(?s)cannot be written.*{path}"):
        build(recipe, path, 0)
    full = tf.errors.ResourceExhaustedError(None, None, "No space left on device")
    with mock.patch.object(tf.io.TFRecordWriter, "write", side_effect=full):
      with self.assertRaisesRegex(BuildError, "(?s)cannot be written.*No space left"):
        build(recipe, self.output, 0)
    build(recipe, self.output, 0)
    self.assertEqual(all_bytes(self.output), self.reference())

  def test_files_of_others_are_left_alone(self):
    names = ["film.tmp-1", "notes.json.tmp-2", "film-00000-of-00001.tfrecord.tmp-old"]
    for name in names:
      with open(os.path.join(self.output, name), "wb"):
        pass
    build(fake_source.recipe(self.inputs), self.output, 0, overwrite=True)
    self.assertContainsSubset(names, os.listdir(self.output))

  def test_temporary_files_of_a_killed_build_are_deleted(self):
    left = [
      os.path.join(self.output, "train-00001-of-00003.tfrecord.tmp-12"),
      os.path.join(self.output, "failures.jsonl.tmp-12"),
      os.path.join(self.output, "dataset_info.json.tmp-12"),
      os.path.join(self.output, ".build", "recipe.json.tmp-12"),
    ]
    os.makedirs(os.path.join(self.output, ".build"))
    for path in left:
      with open(path, "wb"):
        pass
    build(fake_source.recipe(self.inputs), self.output, 0)
    self.assertEmpty([path for path in left if os.path.exists(path)])


if __name__ == "__main__":
  tf.test.main()
