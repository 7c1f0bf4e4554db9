"""Tests of the log of a run."""

import os
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.training import metrics
from tests import event_files, test_base


class MetricsTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.model_dir = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.model_dir)
    self.path = os.path.join(self.model_dir, "metrics.jsonl")

  def steps(self):
    return [line["step"] for line in metrics.read(self.path)]

  def test_lines_and_curves(self):
    log = metrics.Metrics(self.model_dir)
    log.add(3, {"loss": 0.5, "loss/a": 1.5})
    log.add(6, {"loss": 0.25})
    self.assertEqual(
      metrics.read(self.path), [{"step": 3, "loss": 0.5, "loss/a": 1.5}, {"step": 6, "loss": 0.25}]
    )
    curve = list(event_files.summaries(os.path.join(self.model_dir, "tensorboard")))
    self.assertEqual(curve, [(3, "loss", 0.5), (3, "loss/a", 1.5), (6, "loss", 0.25)])

  def test_pictures(self):
    picture = self.rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    metrics.Metrics(self.model_dir, write=False).add_picture(2, "batch/a", picture)
    self.assertEqual(os.listdir(self.model_dir), [])
    metrics.Metrics(self.model_dir).add_picture(2, "batch/a", picture)
    ((step, name, found),) = event_files.pictures(os.path.join(self.model_dir, "tensorboard"))
    self.assertEqual((step, name), (2, "batch/a"))
    self.assertAllEqual(found, picture)
    self.assertEqual(metrics.read(self.path), [])

  def test_what_was_done_in_vain_is_forgotten(self):
    log = metrics.Metrics(self.model_dir)
    for step in (0, 3):
      log.add(step, {"probe/knn_video": step / 10})
    for step in (2, 3, 4):
      log.add(step, {"loss": 1.0})
    log = metrics.Metrics(self.model_dir)
    self.assertEqual(log.probes, {0: {"probe/knn_video": 0.0}, 3: {"probe/knn_video": 0.3}})
    log.drop_after(3)
    self.assertEqual(self.steps(), [0, 3, 2, 3])
    log.drop_after(2)
    self.assertEqual(self.steps(), [0, 2])
    self.assertEqual(list(log.probes), [0])
    self.assertEqual(list(metrics.Metrics(self.model_dir).probes), [0])

  def test_what_is_done_again_at_the_same_step_is_logged_once(self):
    log = metrics.Metrics(self.model_dir)
    log.add(3, {"loss": 0.5})
    log.add(3, {"bank/mean": 0.25, "bank/weight": np.ones(4)})
    log.add(4, {"loss": 0.5})
    log = metrics.Metrics(self.model_dir)
    log.drop_after(3)
    log.add(3, {"bank/mean": 0.25, "bank/weight": np.ones(4)})
    log.add(3, {"bank/other": 1.0})
    log.add(4, {"loss": 0.5})
    self.assertEqual(self.steps(), [3, 3, 3, 4])

  def test_line_that_a_kill_cut_off(self):
    log = metrics.Metrics(self.model_dir)
    log.add(1, {"loss": 1.0})
    with open(self.path, "a", encoding="utf-8") as f:
      f.write('{"step": 2, "lo')
    self.assertEqual(self.steps(), [1])
    log = metrics.Metrics(self.model_dir)
    log.drop_after(9)
    log.add(2, {"loss": 2.0})
    self.assertEqual(self.steps(), [1, 2])

  def test_damaged_lines_are_left_out(self):
    damaged = (
      b"\0" * 30, b"[1]", b"7", b"{", b"[" * 100_000, b'{"step": "3"}', b'{"loss": 1.0}', b"\xff",
      b'{"step": 3, "loss": {}}', b'{"step": ' + b"9" * 5000 + b"}", b"null", b'{"step": -1}',
    )  # fmt: skip
    for text in damaged:
      with self.subTest(text[:20]):
        with open(self.path, "wb") as f:
          f.write(b'{"step": 1, "loss": 0.5}\n' + text + b'\n{"step": 2, "loss": 0.25}\n')
        with self.assertLogs("absl", "WARNING") as logs:
          self.assertEqual(self.steps(), [1, 2])
        self.assertRegex("".join(logs.output), "metrics.jsonl, line 2 ")
        self.assertLess(len("".join(logs.output)), 400)
    with open(self.path, "wb") as f:
      f.write(b'{"step": 1}\n' + b"\0" * 9 + b"\n" + b"{}\n" * 3 + b'{"step": 2}\n' + b"\0" * 99)
    with self.assertLogs("absl", "WARNING") as logs:
      self.assertEqual(self.steps(), [1, 2])
    self.assertIn("line 2 is not JSON", "".join(logs.output))
    self.assertIn("3 more lines are damaged", "".join(logs.output))

  def test_other_workers_write_nothing(self):
    metrics.Metrics(self.model_dir).add(0, {"probe/a": 1.0})
    with open(self.path, encoding="utf-8") as f:
      before = f.read()
    log = metrics.Metrics(self.model_dir, write=False)
    self.assertEqual(list(log.probes), [0])
    log.add(2, {"probe/a": 2.0})
    log.drop_after(0)
    log.add(4, {"probe/a": 2.0})
    self.assertEqual(list(log.probes), [0, 4])
    with open(self.path, encoding="utf-8") as f:
      self.assertEqual(f.read(), before)

  def test_no_log_yet(self):
    log = metrics.Metrics(self.model_dir)
    log.drop_after(0)
    self.assertEqual((metrics.read(self.path), log.probes), ([], {}))
    self.assertEqual(os.listdir(self.model_dir), [])


if __name__ == "__main__":
  tf.test.main()
