"""Tests of initialising a run with the network and memory banks of another."""

import contextlib
import functools
import io
import os
import shutil
import unittest
from unittest import mock

import numpy as np

from avssl_tf.data.records import dataset_info
from avssl_tf.losses import avid, cma
from avssl_tf.tasks import instance_discrimination
from avssl_tf.training import checkpoints, inherited_memory, run_folder
from avssl_tf.training.callbacks.loss_log import LossLog
from tests import tiny_run

_VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
_ROWS = f"task/objective/video_bank/rows/{_VALUE}"
_NORMALIZER = f"task/objective/normalizer/{_VALUE}"


class _Stopped(Exception):
  pass


class InitializationTest(tiny_run.TestCase):

  def setUp(self):
    super().setUp()
    self.first = self.path("first")
    tiny_run.train(self.data_dir, self.first, num_epochs=1)

  def start(self, name: str, **settings):
    """State before the first step of a run initialised from the first, and its output."""

    def stop(self, epoch, logs=None):
      raise _Stopped

    printed = io.StringIO()
    with mock.patch.object(LossLog, "on_epoch_begin", stop):
      with contextlib.redirect_stdout(printed), contextlib.suppress(_Stopped):
        settings = {"init_from": self.first, **settings}
        tiny_run.train(self.data_dir, self.path(name), **settings)
    return tiny_run.saved(self.path(name), 0), printed.getvalue()

  def test_takes_over_banks_and_constant(self):
    first = tiny_run.saved(self.first)
    start, printed = self.start("second", seed=5)
    names = [n for n in first if n.startswith("task/") and "step" not in n]
    self.assertIn(_ROWS, names)
    self.assert_same_state({n: start[n] for n in names}, {n: first[n] for n in names})
    self.assertGreater(start[_NORMALIZER], 0.0)
    self.assertIn("24 of its 24 videos are in the data set.", printed)

  def test_another_objective_takes_them_over(self):
    first = tiny_run.saved(self.first)
    task = functools.partial(
      instance_discrimination.InstanceDiscrimination,
      objective=functools.partial(cma.CMA, num_negatives=8, num_positives=3),
    )
    start, _ = self.start("cma", task=task)
    for name in (_ROWS, _NORMALIZER):
      np.testing.assert_array_equal(start[name], first[name])

  def test_without_memory(self):
    first = tiny_run.saved(self.first)
    start, _ = self.start("second", init_memory=False, fill_memory=False)
    name = f"task/network/video_net/kernel/{_VALUE}"
    np.testing.assert_array_equal(start[name], first[name])
    self.assertFalse(np.array_equal(start[_ROWS], first[_ROWS]))
    self.assertEqual(start[_NORMALIZER], 0.0)

  def test_part_of_the_videos(self):
    first = tiny_run.saved(self.first)
    start, printed = self.start("part", split="train[4:20]", seed=5)
    np.testing.assert_array_equal(start[_ROWS], first[_ROWS][4:20])
    self.assertIn("16 of its 24 videos are in the data set.", printed)

  def test_missing_ids_are_told_and_filled(self):
    part = self.path("part")
    tiny_run.train(self.data_dir, part, split="train[:20]", num_epochs=1)
    start, printed = self.start("whole", init_from=part, seed=5)
    np.testing.assert_array_equal(start[_ROWS][:20], tiny_run.saved(part)[_ROWS])
    self.assertIn("4 videos of the data set are not in", printed)
    random, _ = self.start("random", init_from=part, seed=5, fill_memory=False)
    self.assertFalse(np.array_equal(start[_ROWS][20:], random[_ROWS][20:]))
    np.testing.assert_array_equal(start[_ROWS][:20], random[_ROWS][:20])

  def test_folder_without_ids(self):
    os.remove(os.path.join(self.first, run_folder.VIDEO_IDS))
    start, printed = self.start("second")
    np.testing.assert_array_equal(start[_ROWS], tiny_run.saved(self.first)[_ROWS])
    self.assertIn("in the order", printed)
    with self.assertRaisesRegex(inherited_memory.InitializationError, "24 rows.*16 videos"):
      self.start("third", split="train[:16]")
    info = dataset_info.DatasetInfo.load(self.data_dir)
    info.build["shuffle"] = True
    with mock.patch.object(dataset_info.DatasetInfo, "load", return_value=info):
      with self.assertRaisesRegex(inherited_memory.InitializationError, "in a random order. Write"):
        self.start("fourth")

  def test_ids_that_were_written_by_hand(self):
    path = os.path.join(self.first, run_folder.VIDEO_IDS)
    ids = inherited_memory.read_video_ids(self.first)
    with open(path, "w", encoding="utf-8") as f:
      f.write("\n".join(ids))
    self.assertEqual(inherited_memory.read_video_ids(self.first), ids)
    with open(path, "w", encoding="utf-8") as f:
      f.write("\n".join(ids[1:]))
    with self.assertRaisesRegex(inherited_memory.InitializationError, "23 lines.* 24 rows"):
      self.start("second")
    open(path, "w", encoding="utf-8").close()
    with self.assertRaisesRegex(inherited_memory.InitializationError, "0 lines.* 24 rows"):
      self.start("second")

  def test_says_when_a_memory_of_nothing_is_read(self):
    cases = (
      ({"init_from": None, "fill_memory": False}, True),
      ({"init_memory": False, "fill_memory": False}, True),
      ({"init_from": None}, False),
      ({"fill_memory": False}, False),
    )
    make = functools.partial(cma.CMA, num_negatives=8, num_positives=3)
    task = functools.partial(instance_discrimination.InstanceDiscrimination, objective=make)
    for number, (settings, expected) in enumerate(cases):
      with self.subTest(str(settings)):
        _, printed = self.start(str(number), task=task, **settings)
        self.assertEqual("WARNING: the memory banks are random" in printed, expected)

  def test_what_it_began_with_may_be_gone_when_it_goes_on(self):
    self.start("second")
    shutil.rmtree(self.first)
    tiny_run.train(self.data_dir, self.path("second"), init_from=self.first)

  def test_refuses_other_videos_and_sizes(self):
    objective = avid.AVID(num_rows=24, dim=4)
    with self.assertRaisesRegex(inherited_memory.InitializationError, "none of the 2 videos"):
      self.memory_from_first(objective, ["x", "y"])
    with self.assertRaisesRegex(inherited_memory.InitializationError, "4 columns.* 5"):
      self.memory_from_first(avid.AVID(num_rows=24, dim=5), ["x"])

  def memory_from_first(self, objective, ids):
    path = checkpoints.latest_of(self.first, checkpoints.TASK)
    return inherited_memory.memory_from(self.first, path, objective, ids)

  def test_other_data_in_the_same_folder(self):
    ids = inherited_memory.read_video_ids(self.first)
    self.assertEqual(len(ids), 24)
    other = [*ids[:3], "another", *ids[4:]]
    with self.assertRaisesRegex(inherited_memory.InitializationError, "row 3 is .* 'another'"):
      inherited_memory.save_video_ids(self.first, other)
    inherited_memory.save_video_ids(self.first, ids)

  def test_ids_of_any_characters(self):
    folder = self.path("ids")
    os.mkdir(folder)
    ids = ["a\nb", "a\\nb", "caf\udce9", "ü", "\r", " "]
    inherited_memory.save_video_ids(folder, ids)
    inherited_memory.save_video_ids(folder, ids)
    self.assertEqual(len(set(inherited_memory.read_video_ids(folder))), len(ids))
    shutil.rmtree(folder)


if __name__ == "__main__":
  unittest.main()
