"""Tests of training runs: resuming, precisions, optimisers, NaN, and errors."""

import contextlib
import dataclasses
import functools
import io
import os
import re
import shutil
import unittest
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf import addons, errors
from avssl_tf.evaluation.frozen.probe import Probe
from avssl_tf.losses import cma, robust_xid
from avssl_tf.tasks import instance_discrimination
from avssl_tf.training import checkpoints, inherited_memory, metrics
from avssl_tf.training.callbacks import loss_log
from avssl_tf.training.configurations import settings
from avssl_tf.training.optimization import optimizers
from tests import tiny_run

STEPS_PER_EPOCH = tiny_run.NUM_VIDEOS // 8


class _Killed(Exception):
  pass


def _killed_after(step: int):
  """Interrupts a run after a step."""
  on_step_end = loss_log.LossLog.on_step_end

  def interrupted(self, logs):
    on_step_end(self, logs)
    if self.step == step:
      raise _Killed

  return mock.patch.object(loss_log.LossLog, "on_step_end", interrupted)


def _cma(**arguments):
  """CMA that mines before its second epoch."""
  return cma.CMA(num_negatives=8, num_positives=4, warmup_epochs=1, **arguments)


def _robust_xid(**arguments):
  """Robust xID with a warm-up of one epoch."""
  return robust_xid.RobustXID(num_negatives=8, warmup_epochs=1, **arguments)


def _task_with(objective):
  """Creates the task of an objective."""
  return functools.partial(
    instance_discrimination.InstanceDiscrimination, objective=objective
  )


class ResumeTest(tiny_run.TestCase):

  def assert_resumes_exactly(self, kill_after, model_dir="", **arguments):
    """Compares a run interrupted after some steps with an uninterrupted one."""
    prefix = f"{model_dir}-" if model_dir else ""
    whole_dir, killed_dir = self.path(f"{prefix}whole"), self.path(f"{prefix}killed")
    tiny_run.train(self.data_dir, whole_dir, **arguments)
    for step in kill_after:
      with self.assertRaises(_Killed), _killed_after(step):
        tiny_run.train(self.data_dir, killed_dir, **arguments)
    tiny_run.train(self.data_dir, killed_dir, **arguments)
    whole = tiny_run.saved(whole_dir)
    self.assert_same_state(tiny_run.saved(killed_dir), whole)
    return whole

  def test_clips_drawn_by_video_and_batches_in_parts(self):
    # Each clip of the demo world is a separate video.
    network = lambda: tiny_run.TinyNetwork(batch_norm=True)  # noqa: E731
    state = self.assert_resumes_exactly((3,), sampling="video", network=network, accumulate_steps=4)
    # Steps are those of whole batches.
    self.assertEqual(state["optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"], 6)
    self.assertEqual(state["task/objective/step/.ATTRIBUTES/VARIABLE_VALUE"], 6)

  def test_killed_again_and_again(self):
    network = lambda: tiny_run.TinyNetwork(batch_norm=True)  # noqa: E731
    # Before the first checkpoint, after it, at the end of an epoch, and in the next one.
    state = self.assert_resumes_exactly((1, 2, 3, 5), network=network, probe_every_epochs=1)
    start = tiny_run.saved(self.path("whole"), 4)
    for part in ("video_net", "video_bank", "moving_mean", "objective/step"):
      changed = [n for n in state if part in n and not np.array_equal(state[n], start[n])]
      self.assertTrue(changed, f"{part} did not change: the test proves nothing.")

  def test_objectives_that_renew_their_state(self):
    for name, objective, part in (
      ("cma", _cma, "positive_sets"),
      ("robust", _robust_xid, "cosine_mean"),
    ):
      with self.subTest(name):
        # In the epoch before the state is updated, at its end, after it, and with the state saved
        # in the middle of an epoch.
        state = self.assert_resumes_exactly(
          (2, 3, 4, 5), task=_task_with(objective), model_dir=name, checkpoint_every_steps=1
        )
        key = f"task/objective/{part}/.ATTRIBUTES/VARIABLE_VALUE"
        self.assertTrue(state[key].any(), "Still as it began: the test proves nothing.")
        lines = metrics.read(self.path(f"{name}-killed/metrics.jsonl"))
        renewed = [line["step"] for line in lines if "bank/cosine_mean" in line]
        self.assertEqual(renewed, [0, 3] if name == "robust" else [])

  def test_log_has_each_step_once_and_keeps_probes(self):
    arguments = {"probe": Probe(c_grid=(0.1,), batch_size=8), "probe_every_epochs": 1}
    probed = []
    measure = Probe.__call__

    def counted(probe, *args, **kwargs):
      probed.append(probe)
      return measure(probe, *args, **kwargs)

    with mock.patch.object(Probe, "__call__", counted):
      for step in (1, 5):
        with self.assertRaises(_Killed), _killed_after(step):
          tiny_run.train(self.data_dir, self.path("run"), **arguments)
      result = tiny_run.train(self.data_dir, self.path("run"), **arguments)
    lines = metrics.read(self.path("run/metrics.jsonl"))
    with_loss = [line["step"] for line in lines if "loss" in line]
    with_probe = [line["step"] for line in lines if "probe/knn_video" in line]
    self.assertEqual(with_loss, [1, 2, 3, 4, 5, 6])
    self.assertEqual(with_probe, [0, 3, 6])
    self.assertEqual(list(result.probes), [0, 3, 6])
    self.assertEqual(len(probed), 3)

  def test_probe_between_epochs_is_made_up_for(self):
    arguments = {
      "probe": Probe(c_grid=(0.1,), batch_size=8),
      "probe_every_epochs": 1,
      "checkpoint_every_steps": STEPS_PER_EPOCH,
    }
    original = Probe.__call__

    def killed(probe, *args, **kwargs):
      if os.path.exists(self.path(f"run/checkpoints/ckpt-{STEPS_PER_EPOCH}.index")):
        raise _Killed
      return original(probe, *args, **kwargs)

    with self.assertRaises(_Killed), mock.patch.object(Probe, "__call__", killed):
      tiny_run.train(self.data_dir, self.path("run"), **arguments)
    result = tiny_run.train(self.data_dir, self.path("run"), **arguments)
    self.assertEqual(list(result.probes), [0, 3, 6])

  def test_optimizers_and_precisions(self):
    cases = {
      "adam_float32": (lambda learning_rate: optimizers.Adam(learning_rate, l2=0.1), "float32"),
      "adamw_bfloat16": (tf.keras.optimizers.AdamW, "mixed_bfloat16"),
      "adam_float16": (optimizers.Adam, "mixed_float16"),
      # A legacy optimiser, with another wrapper for loss scaling.
      "lamb_float16": (addons.LAMB, "mixed_float16"),
    }
    parent = self.folder
    for name, (optimizer, precision) in cases.items():
      with self.subTest(name):
        self.folder = os.path.join(parent, name)
        os.mkdir(self.folder)
        state = self.assert_resumes_exactly(
          (3,), optimizer=optimizer, precision=precision, num_epochs=1
        )
        numbers = [value for value in state.values() if value.dtype != object]
        self.assertTrue(all(np.isfinite(value).all() for value in numbers))
        has_scale = any("loss_scale" in key for key in state)
        self.assertEqual(has_scale, precision == "mixed_float16")
        lines = metrics.read(self.path("whole/metrics.jsonl"))
        self.assertEqual([line["step"] for line in lines], [1, 2, 3])
        rate = tiny_run.schedule(total_steps=3, steps_per_epoch=3)
        for line in lines:
          self.assertAlmostEqual(line["learning_rate"], float(rate(line["step"])), places=6)


  def test_network_of_another_run(self):
    tiny_run.train(self.data_dir, self.path("first"), num_epochs=1)
    first = tiny_run.saved(self.path("first"))
    second = {"init_from": self.path("first"), "init_memory": False, "seed": 7}
    self.assert_resumes_exactly((1,), **second)
    with self.assertRaises(_Killed), _killed_after(1):
      tiny_run.train(self.data_dir, self.path("start"), **second)
    start = tiny_run.saved(self.path("start"))
    networks = [name for name in start if name.startswith("task/network")]
    self.assert_same_state(
      {name: start[name] for name in networks}, {name: first[name] for name in networks}
    )
    self.assertEqual(start["optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"], 0)
    with self.assertRaisesRegex(FileNotFoundError, "There is no checkpoint in 'nowhere'"):
      tiny_run.train(self.data_dir, self.path("third"), init_from="nowhere")


class DamagedCheckpointTest(tiny_run.TestCase):

  def damage(self, name):
    path = self.path(f"run/checkpoints/{name}")
    os.truncate(path, os.path.getsize(path) // 2)

  def test_goes_on_from_the_older_one(self):
    tiny_run.train(self.data_dir, self.path("whole"))
    with self.assertRaises(_Killed), _killed_after(5):
      tiny_run.train(self.data_dir, self.path("run"))
    self.damage("ckpt-4.data-00000-of-00001")
    output = io.StringIO()
    with contextlib.redirect_stdout(output), self.assertLogs("absl", "WARNING") as logs:
      tiny_run.train(self.data_dir, self.path("run"))
    self.assertRegex("".join(logs.output), "ckpt-4 is damaged .*ckpt-2 is used instead")
    self.assertIn("Resuming after step 2 of 6", output.getvalue())
    self.assert_same_state(tiny_run.saved(self.path("run")), tiny_run.saved(self.path("whole")))
    steps = [line["step"] for line in metrics.read(self.path("run/metrics.jsonl"))]
    self.assertEqual(steps, list(range(1, 7)))

  def test_all_of_them(self):
    with self.assertRaises(_Killed), _killed_after(5):
      tiny_run.train(self.data_dir, self.path("run"))
    self.damage("ckpt-4.index")
    self.damage("ckpt-2.index")
    with self.assertRaisesRegex(ValueError, "ckpt-4 is damaged.*ckpt-2 is damaged.*no intact"):
      tiny_run.train(self.data_dir, self.path("run"))
    with self.assertRaisesRegex(ValueError, "ckpt-4 is damaged.*ckpt-2 is damaged.*no intact"):
      tiny_run.train(self.data_dir, self.path("next"), init_from=self.path("run"))

  def test_network_and_memory_of_another_run(self):
    with self.assertRaises(_Killed), _killed_after(5):
      tiny_run.train(self.data_dir, self.path("run"))
    first = tiny_run.saved(self.path("run"), step=2)
    self.damage("ckpt-4.data-00000-of-00001")
    with self.assertRaises(_Killed), _killed_after(1):
      tiny_run.train(self.data_dir, self.path("next"), init_from=self.path("run"))
    start = tiny_run.saved(self.path("next"))
    names = [name for name in start if name.startswith(("task/network", "task/objective/video_b"))]
    self.assertTrue(any("objective" in name for name in names))
    self.assert_same_state({n: start[n] for n in names}, {n: first[n] for n in names})


class PrecisionTest(tiny_run.TestCase):

  def test_float16_scales_the_loss(self):
    for optimizer in (optimizers.Adam, addons.LAMB):  # Two kinds of wrapper.
      with self.subTest(optimizer.__name__):
        self.check_scaling(optimizer)

  def check_scaling(self, optimizer):
    scales = []
    kind = type(tf.keras.mixed_precision.LossScaleOptimizer(optimizer()))
    scaled, unscaled = kind.get_scaled_loss, kind.get_unscaled_gradients

    def spy_loss(self, loss):
      scales.append("loss")
      return scaled(self, loss)

    def spy_gradients(self, gradients):
      scales.append("gradients")
      return unscaled(self, gradients)

    with mock.patch.object(kind, "get_scaled_loss", spy_loss), mock.patch.object(
      kind, "get_unscaled_gradients", spy_gradients
    ):
      tiny_run.train(
        self.data_dir, self.path(optimizer.__name__), precision="mixed_float16", num_epochs=1,
        optimizer=optimizer,
      )  # fmt: skip
    self.assertEqual(scales, ["loss", "gradients"])

  def test_unknown_precision(self):
    with self.assertRaisesRegex(ValueError, "precision is 'float8'; expected one of float32"):
      tiny_run.train(self.data_dir, self.path("run"), precision="float8")


class NonFiniteTest(tiny_run.TestCase):

  def assert_stops(self, message, last_step, **arguments):
    with self.assertRaisesRegex(errors.NonFiniteError, message) as caught:
      tiny_run.train(self.data_dir, self.path("run"), **arguments)
    self.assertIn(f"the last good checkpoint is {self.path('run')}", str(caught.exception))
    self.assertTrue(checkpoints.latest(self.path("run")).endswith(f"ckpt-{last_step}"))
    for name, value in tiny_run.saved(self.path("run")).items():
      if value.dtype != object:
        self.assertTrue(np.isfinite(value).all(), name)

  def test_diverging_weights_between_two_lines_of_the_log(self):
    self.assert_stops(
      r"loss.* became NaN or infinite within steps 1\.\.2", 0, log_every_steps=100,
      schedule=lambda **unused: 1e38,
    )  # fmt: skip

  def test_loss(self):
    self.assert_stops(
      r"loss.* became NaN or infinite within steps 2\.\.2", 0, checkpoint_every_steps=100,
      schedule=lambda **unused: 1e38,
    )  # fmt: skip

  def test_statistics_that_no_loss_shows(self):

    class Broken(tiny_run.TinyNetwork):

      def __init__(self):
        super().__init__(batch_norm=True)
        self.calls = self.add_weight("calls", [], trainable=False, initializer="zeros")

      def call(self, batch, training=False):
        if training:
          self.calls.assign_add(1.0)
          mean = self.norm.moving_mean
          # The calls that fill the memory, and three steps.
          mean.assign(tf.where(self.calls > 6, mean + float("nan"), mean))
        return super().call(batch, training)

    self.assert_stops("NaN or infinity in .*moving_mean.* after step 4", 2, network=Broken)


class WarmUpTest(tiny_run.TestCase):

  def test_run_that_ends_within_the_warm_up(self):
    for num_epochs, expected in ((1, True), (2, False)):
      output = io.StringIO()
      with contextlib.redirect_stdout(output):
        tiny_run.train(
          self.data_dir, self.path(f"{num_epochs}"), task=_task_with(_cma), num_epochs=num_epochs
        )
      warning = "CMA.warmup_epochs is 1 and train.num_epochs is 1: the whole run is warm-up"
      self.assertEqual(warning in output.getvalue(), expected)


class RefusalTest(tiny_run.TestCase):

  def assert_refused(self, kind, message, **arguments):
    with self.assertRaisesRegex(kind, message):
      tiny_run.train(arguments.pop("data_dir", self.data_dir), self.path("run"), **arguments)
    self.assertFalse(os.path.exists(self.path("run/checkpoints")))

  def test_settings_that_fit_no_run(self):
    self.assert_refused(ValueError, "has no split 'tarin'", split="tarin")
    self.assert_refused(ValueError, "batch_size is 32, but split 'train' of", batch_size=32)
    self.assert_refused(ValueError, "positive multiple", batch_size=0)
    self.assert_refused(ValueError, "num_epochs is 0", num_epochs=0)
    self.assert_refused(ValueError, "log_every_steps is 0", log_every_steps=0)
    self.assert_refused(ValueError, "every_steps is 0", checkpoint_every_steps=0)
    self.assert_refused(ValueError, "every_minutes is 0", checkpoint_every_minutes=0)
    self.assert_refused(ValueError, "Set one of them", checkpoint_every_steps=None)
    self.assert_refused(ValueError, "accumulate_steps is 0", accumulate_steps=0)
    self.assert_refused(
      ValueError, "accumulate_steps is 3; expected a divisor of 8", accumulate_steps=3
    )
    self.assert_refused(ValueError, "clips_per_video is 0", clips_per_video=0)
    self.assert_refused(ValueError, "sampling is 'some'", sampling="some")
    self.assert_refused(FileNotFoundError, "no .finished. data set", data_dir=self.path("none"))

  def test_sound_of_another_rate(self):
    clip = dataclasses.replace(tiny_run.CLIP, sample_rate_hz=4000)
    self.assert_refused(ValueError, "at 4000 Hz, the spectrogram expects 8000 Hz", clip=clip)


class ChangedRunTest(tiny_run.TestCase):
  """Runs that are resumed with another configuration."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.killed_dir = os.path.join(os.path.dirname(cls.data_dir), "killed")
    with contextlib.suppress(_Killed), _killed_after(4):
      tiny_run.train(cls.data_dir, cls.killed_dir)

  def setUp(self):
    super().setUp()
    shutil.copytree(self.killed_dir, self.path("run"))

  def assert_untouched(self):
    self.assertTrue(checkpoints.latest(self.path("run")).endswith("ckpt-2"))

  def test_other_configuration_before_anything_was_learnt(self):
    with self.assertRaises(_Killed), mock.patch.object(
      checkpoints.RunCheckpoints, "save", side_effect=_Killed
    ):
      tiny_run.train(self.data_dir, self.path("new"), probe=Probe(c_grid=(0.1,)))
    other = tiny_run.train(
      self.data_dir, self.path("new"), seed=3, num_epochs=1, probe=Probe(c_grid=(0.1,))
    )
    fresh = tiny_run.train(
      self.data_dir, self.path("fresh"), seed=3, num_epochs=1, probe=Probe(c_grid=(0.1,))
    )
    self.assertEqual(other.probes, fresh.probes)

  def test_other_data_before_anything_was_learnt(self):
    with self.assertRaises(_Killed), mock.patch.object(
      checkpoints.RunCheckpoints, "save", side_effect=_Killed
    ):
      tiny_run.train(self.data_dir, self.path("new"))
    tiny_run.train(self.data_dir, self.path("new"), split="train[:16]", num_epochs=1)
    self.assertEqual(len(inherited_memory.read_video_ids(self.path("new"))), 16)

  def test_longer(self):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
      tiny_run.train(self.data_dir, self.path("run"), num_epochs=3)
    self.assertIn(
      "WARNING: the configuration has changed since the start of the run", output.getvalue()
    )
    self.assertIn("  train.num_epochs: 2 -> 3\n", output.getvalue())
    self.assertTrue(checkpoints.latest(self.path("run")).endswith("ckpt-9"))

  def test_what_no_run_can_change(self):
    for name, value in {"batch_size": 4, "seed": 1, "split": "train[:16]"}.items():
      changed = rf"  train\.{name}: .* -> {re.escape(repr(value))}\n"
      with self.assertRaisesRegex(settings.ConfigurationError, changed):
        tiny_run.train(self.data_dir, self.path("run"), **{name: value})
    self.assert_untouched()

  def test_other_networks_or_data(self):

    class Wider(tiny_run.TinyNetwork):
      embedding_dim = 5

    with self.assertRaisesRegex(checkpoints.CheckpointError, "does not match.*shape"):
      tiny_run.train(self.data_dir, self.path("run"), network=Wider)
    other = tiny_run.make_data(self.path("other"), num_train=16)
    message = "24 videos of the run .* differ from the 16"
    with self.assertRaisesRegex(inherited_memory.InitializationError, message):
      tiny_run.train(other, self.path("run"))
    with self.assertRaisesRegex(checkpoints.CheckpointError, "optimiser"):
      tiny_run.train(self.data_dir, self.path("run"), optimizer=tf.keras.optimizers.SGD)
    self.assert_untouched()


if __name__ == "__main__":
  unittest.main()
