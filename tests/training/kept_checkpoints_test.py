"""Tests of permanently kept checkpoints, and of runs initialised from them."""

import contextlib
import functools
import io
import os
from unittest import mock

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import checkpoint_files, errors, own_files
from avssl_tf.models import projection, translation
from avssl_tf.training import checkpoints, run_folder, trainer
from avssl_tf.training.callbacks.checkpointing import Checkpointer, EpochKeeper
from avssl_tf.training.callbacks.loss_log import LossLog
from avssl_tf.training.configurations import configuration
from tests import tiny_alignment, tiny_run

_KEPT = run_folder.KEPT_CHECKPOINTS
_BACKBONES = ("video_net", "audio_net", "video_front_end", "audio_front_end")
STEPS_PER_EPOCH = tiny_run.NUM_VIDEOS // 8


class _Killed(Exception):
  pass


def _killed(kind, step):
  """Interrupts a run after a callback has handled a step."""
  on_step_end = kind.on_step_end

  def interrupted(self, logs):
    on_step_end(self, logs)
    if self.step == step:
      raise _Killed

  return mock.patch.object(kind, "on_step_end", interrupted)


def _state(path):
  reader = tf.train.load_checkpoint(path)
  return {
    name: reader.get_tensor(name)
    for name in reader.get_variable_to_shape_map()
    if name != "_CHECKPOINTABLE_OBJECT_GRAPH" and not name.startswith("save_counter")
  }


class KeptCheckpointsTest(tiny_run.TestCase):

  def names(self, model_dir="run"):
    return checkpoint_files.numbers(self.path(f"{model_dir}/{_KEPT}"))

  def kept(self, epoch, model_dir="run"):
    return _state(self.path(f"{model_dir}/{_KEPT}/ckpt-{epoch}"))

  def train(self, model_dir="run", **settings):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
      tiny_run.train(self.data_dir, self.path(model_dir), **settings)
    return output.getvalue()

  def test_chosen_epochs_stay(self):
    self.train("plain", num_epochs=1)
    self.train(num_epochs=4, keep_epochs=(1, 3, 9))
    self.assertEqual(self.names(), [1, 3])
    # The latest checkpoints are not affected.
    latest = checkpoint_files.listed(self.path("run/checkpoints"))
    self.assertEqual([os.path.basename(path) for path in latest], ["ckpt-10", "ckpt-12"])
    iterations = "optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"
    self.assertEqual([self.kept(e)[iterations] for e in (1, 3)], [3, 9])
    self.assertEqual(set(self.kept(1)), set(tiny_run.saved(self.path("run"))))
    self.train("none")
    self.assertFalse(os.path.exists(self.path(f"none/{_KEPT}")))

  def test_killed_runs_keep_the_same(self):
    settings = {"num_epochs": 3, "keep_epochs": (1, 2)}
    self.train("whole", **settings)
    # Within an epoch; after the step that ends one, before anything is saved; between what is kept
    # and what is saved; after both.
    for kind, step in (
      (LossLog, 2),
      (LossLog, 3),
      (EpochKeeper, 3),
      (Checkpointer, 6),
    ):
      with self.assertRaises(_Killed), _killed(kind, step):
        self.train(**settings)
    self.train(**settings)
    for epoch in (1, 2):
      self.assert_same_state(self.kept(epoch), self.kept(epoch, "whole"))
    self.assert_same_state(
      tiny_run.saved(self.path("run")), tiny_run.saved(self.path("whole"))
    )

  def test_asked_for_later(self):
    self.train(num_epochs=2)
    printed = self.train(num_epochs=3, keep_epochs=(1, 2, 3))
    self.assertIn("WARNING: train.keep_epochs contains 1, which the run has already", printed)
    self.assertEqual(self.names(), [2, 3])
    self.assertIn("train.keep_epochs", printed)  # Reported as a change of the configuration.

  def test_a_run_that_begins_with_one(self):
    self.train("first", num_epochs=3, keep_epochs=(1,))
    first, latest = self.kept(1, "first"), tiny_run.saved(self.path("first"))
    for name, source, settings in (
      ("old", first, {"init_epoch": 1}),
      ("latest", latest, {}),
    ):
      with self.assertRaises(_Killed), _killed(LossLog, 1):
        self.train(name, init_from=self.path("first"), seed=5, **settings)
      start = tiny_run.saved(self.path(name), step=0)
      taken = [n for n in start if n.startswith(("task/network", "task/objective/video_bank"))]
      self.assertGreater(len(taken), 3)
      self.assert_same_state({n: start[n] for n in taken}, {n: source[n] for n in taken})

  def test_one_that_is_not_there(self):
    self.train("first", num_epochs=2, keep_epochs=(1, 2))
    start = functools.partial(self.train, "second", init_from=self.path("first"))
    with self.assertRaisesRegex(FileNotFoundError, "no checkpoint of epoch 5 .*epochs: 1, 2"):
      start(init_epoch=5)
    os.truncate(self.path(f"first/{_KEPT}/ckpt-1.index"), 30)
    with self.assertRaisesRegex(checkpoint_files.DamagedError, "ckpt-1 is damaged"):
      start(init_epoch=1)
    with self.assertRaisesRegex(ValueError, "init_epoch is 1, but init_from is not set"):
      start(init_epoch=1, init_from=None)
    with self.assertRaisesRegex(ValueError, "init_parts is 'heads'; expected one of all, back"):
      start(init_parts="heads")
    with self.assertRaisesRegex(ValueError, r"keep_epochs is \(0,\); expected"):
      start(keep_epochs=(0,))
    self.assertFalse(os.path.exists(self.path("second/checkpoints")))

  def test_overwriting_a_run(self):
    self.train(num_epochs=1, keep_epochs=(1,))
    notes = self.path(f"run/{_KEPT}/notes.txt")
    with open(notes, "w", encoding="utf-8") as f:
      f.write("mine")
    with self.assertRaisesRegex(own_files.ForeignFilesError, "notes.txt"):
      run_folder.clear(self.path("run"))
    self.assertEqual(self.names(), [1])
    os.remove(notes)
    run_folder.clear(self.path("run"))
    self.assertEqual(os.listdir(self.path("run")), [])

  def test_what_a_killed_process_left_is_swept(self):
    self.train(num_epochs=1, keep_epochs=(1,))
    left = self.path(f"run/{_KEPT}/ckpt-2.index.tempstate123")
    open(left, "w", encoding="utf-8").close()
    with run_folder.claimed(self.path("run")):
      self.assertFalse(os.path.exists(left))
    self.assertEqual(self.names(), [1])

  def test_weights_that_are_not_finite_are_not_kept(self):
    with self.assertRaises(errors.NonFiniteError):
      self.train(num_epochs=1, keep_epochs=(1,), schedule=lambda **unused: 1e38,
                 checkpoint_every_steps=100, log_every_steps=100)  # fmt: skip
    self.assertEqual(self.names(), [])


class BackbonesTest(tiny_run.TestCase):
  """The two stages of the published curriculum of spatial alignment, at a tiny size."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data_dir = tiny_alignment.make_data(f"{cls.data_dir}360")

  def train(self, model_dir, network, **settings):
    clip = tiny_alignment.CLIP
    tiny_run.train(
      self.data_dir, self.path(model_dir), network=network, clip=clip, batch_size=8,
      **{"task": tiny_alignment.task, "checkpoint_every_steps": 100, **settings},
    )  # fmt: skip
    return tiny_run.saved(self.path(model_dir), step=0)

  @staticmethod
  def first_network():
    """One head per modality, no transformer."""
    network = tiny_alignment.tiny_network()
    heads = functools.partial(projection.MLPHead, (6,))
    kinds = [type(part) for part in (network.video_net, network.audio_net)]
    return type(network)(
      network.video_front_end,
      kinds[0](),
      network.audio_front_end,
      kinds[1](),
      translation.FeatureTranslation(heads, shared_heads=True),
    )

  def test_new_heads_on_old_backbones(self):
    one_view = tiny_alignment.CLIP.__class__(
      **{**vars(tiny_alignment.CLIP), "viewpoints": tiny_alignment.ViewpointSpec(num_viewpoints=1)}
    )
    with mock.patch.object(tiny_alignment, "CLIP", one_view):
      task = functools.partial(tiny_alignment.task, contrast="easy", warmup_epochs=0)
      self.train("first", self.first_network, task=task, num_epochs=2, keep_epochs=(1,))
    first = _state(self.path(f"first/{_KEPT}/ckpt-1"))
    plain = self.train("plain", tiny_alignment.tiny_network, seed=3)
    second = self.train(
      "second", tiny_alignment.tiny_network, seed=3, init_from=self.path("first"), init_epoch=1,
      init_parts="backbones",
    )  # fmt: skip
    network = {name for name in second if name.startswith(checkpoints.NETWORK)}
    backbones = {name for name in network if name.split("/")[2] in _BACKBONES}
    self.assertGreater(len(backbones), 3)
    self.assert_same_state(
      {name: second[name] for name in backbones}, {name: first[name] for name in backbones}
    )
    rest = network - backbones
    self.assertTrue(any("translation" in name for name in rest))
    # Heads and transformers are initialised as without another run.
    self.assert_same_state({n: second[n] for n in rest}, {n: plain[n] for n in rest})
    self.assertTrue(any(not np.array_equal(second[n], plain[n]) for n in backbones))

  def test_gin_files_of_both_stages(self):
    tiny = """
      train.checkpoint_every_steps = 100
      ClipSpec.num_frames = 2
      ClipSpec.frame_rate_hz = 8.0
      ClipSpec.frame_size = 16
      ClipSpec.audio_sec = 0.3
      ClipSpec.sample_rate_hz = 8000
      ClipSpec.max_offset_sec = 0.1
      Spectrogram.sample_rate_hz = 8000
      Spectrogram.num_bins = 64
      Spectrogram.hop_length = 150
      R2Plus1D.depth = 6
      R2Plus1D.stage_widths = (4, 4, 4, 8)
      AudioNet.stage_widths = (4, 4, 4, 8)
    """
    params = [line.strip() for line in tiny.strip().splitlines()]
    params += ["batch_size=8", "num_epochs=2", "train.probe=None", f'data_dir="{self.data_dir}"']
    for number, method, more in (
      (1, "avc", ["train.keep_epochs=(1,)"]),
      (2, "avsa", [f'train.init_from="{self.path("stage1")}"', "train.init_epoch=1"]),
    ):
      files = [f"gin/{method}.gin", f"gin/scale/yt360_stage{number}.gin"]
      configuration.parse(files, [*params, *more])
      os.mkdir(self.path(f"stage{number}"))
      trainer.train(
        model_dir=self.path(f"stage{number}"), strategy=tf.distribute.get_strategy()
      )
    first = _state(self.path(f"stage1/{_KEPT}/ckpt-1"))
    start = tiny_run.saved(self.path("stage2"), step=0)
    names = {n for n in start if n.split("/")[:2] == ["task", "network"]}
    taken = {n for n in names if n.split("/")[2] in _BACKBONES}
    self.assert_same_state({n: start[n] for n in taken}, {n: first[n] for n in taken})
    self.assertTrue(any("transformers" in n for n in names - taken))
    self.assertFalse(any("transformers" in n or "_prediction" in n for n in first))

  def test_all_of_it_does_not_fit(self):
    self.train("first", self.first_network)
    with self.assertRaisesRegex(checkpoints.CheckpointError, "not match the configured network"):
      self.train("second", tiny_alignment.tiny_network, init_from=self.path("first"))

  def test_memory_of_other_heads_is_left(self):
    data_dir = tiny_run.make_data(self.path("planar"))
    tiny_run.train(data_dir, self.path("first"), num_epochs=1)
    found = {}
    for name, parts in (("all", "all"), ("alone", "backbones")):
      tiny_run.train(
        data_dir, self.path(name), num_epochs=1, init_from=self.path("first"), init_parts=parts,
        fill_memory=False, seed=3, checkpoint_every_steps=100,
      )  # fmt: skip
      found[name] = tiny_run.saved(self.path(name), step=0)
    bank = "task/objective/video_bank/rows/.ATTRIBUTES/VARIABLE_VALUE"
    old = tiny_run.saved(self.path("first"))[bank]
    self.assertTrue(np.array_equal(found["all"][bank], old))
    self.assertFalse(np.array_equal(found["alone"][bank], old))


if __name__ == "__main__":
  gin.clear_config()
  tf.test.main()
