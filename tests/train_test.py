"""Tests of the training command: killed, on several devices, and with user errors."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.training import checkpoints, loading, metrics
from tests import source_tree, tiny_run

_PROBED = ("--gin_param=Probe.c_grid=(0.1,)", "--gin_param=Probe.batch_size=8")
_NOT_PROBED = ("--gin_param=train.probe=None",)

# Calls the command for several lines of flags in one process; prints the exit status of each.
_MISTAKES = """
import json
import sys
from absl import flags
from avssl_tf import train
from tests import tiny_run

for line in json.load(sys.stdin):
  flags.FLAGS.unparse_flags()
  for name in ("gin_file", "gin_param", "model_dir", "overwrite", "virtual_devices"):
    flags.FLAGS[name].unparse()
  sys.argv = ["train", *line]
  try:
    train.main()
  except SystemExit as error:
    ending = str(error.code)
  print("ENDING", json.dumps(ending), flush=True)
"""

# The command, with a final line of the number of networks that it has created.
_COUNTED = """
import sys
from avssl_tf import train
from avssl_tf.models import network

made = []
original = network.Network.__init__

def counted(self, *args, **kwargs):
  made.append(self)
  original(self, *args, **kwargs)

network.Network.__init__ = counted
try:
  train.main(["train", *sys.argv[1:]])
finally:
  print("NETWORKS", len(made))
"""


def _files(folder):
  """Paths of all files in a folder, with their sizes."""
  return sorted(
    (os.path.join(place, name), os.path.getsize(os.path.join(place, name)))
    for place, _, names in os.walk(folder)
    for name in names
  )


class CommandTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.tiny = os.path.join(os.path.dirname(cls.data_dir), "tiny.gin")
    with open(cls.tiny, "w", encoding="utf-8") as f:
      f.write(tiny_run.GIN + f'\ndata_dir = "{cls.data_dir}"\n')
    cls.tiniest = os.path.join(os.path.dirname(cls.data_dir), "tiniest.gin")
    with open(cls.tiniest, "w", encoding="utf-8") as f:
      f.write(f"include '{cls.tiny}'\ntrain.network = @tiny_run.TinyNetwork\n")

  def setUp(self):
    super().setUp()
    self.processes = []
    self.addCleanup(self.kill_all)

  def kill_all(self):
    for process in self.processes:
      process.kill()
      process.communicate()

  def flags(self, model_dir, *flags, gin_file=None):
    return [
      "--gin_file=gin/avid.gin", f"--gin_file={gin_file or self.tiniest}",
      f"--model_dir={self.path(model_dir)}", *flags,
    ]  # fmt: skip

  def start(self, arguments, environment=None):
    process = subprocess.Popen(
      [sys.executable, *arguments],
      cwd=source_tree.ROOT,
      env={**_environment(), **(environment or {})},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    self.processes.append(process)
    return process

  def start_training(self, *flags, environment=None):
    return self.start(["-m", "tests.tiny_command", "avssl_tf.train", *flags], environment)

  def finish(self, process):
    """Waits for the end; returns the output."""
    output, errors = process.communicate()
    self.assertEqual(process.returncode, 0, output[-2000:] + errors[-4000:])
    return output, errors

  def test_own_components_come_from_a_script_of_the_users(self):
    page = (source_tree.ROOT / "docs" / "guides" / "trust.md").read_text(encoding="utf-8")
    script = self.path("my_train.py")
    with open(script, "w", encoding="utf-8") as f:
      f.write(re.search(r"```python\n(# my_train\.py.*?)```", page, re.DOTALL)[1])
    with open(self.path("my_components.py"), "w", encoding="utf-8") as f:
      f.write(
        "import gin\n"
        "from avssl_tf.losses.avid import AVID\n"
        "@gin.register\n"
        "class MyObjective(AVID):\n"
        '  """Registered by a module of the user."""\n'
      )
    flags = self.flags(
      "run", *_NOT_PROBED, "--gin_param=InstanceDiscrimination.objective=@MyObjective",
      "--gin_param=num_epochs=1", "--gin_param=MyObjective.num_negatives=8",
      gin_file=self.tiny,
    )  # fmt: skip
    self.finish(self.start([script, *flags], {"PYTHONPATH": str(source_tree.ROOT)}))
    with open(os.path.join(self.path("run"), "operative_config.gin"), encoding="utf-8") as f:
      self.assertIn("MyObjective.num_negatives = 8", f.read())

  def test_training_export_and_report_share_a_network(self):
    for name, devices in (("one", ()), ("two", ("--virtual_devices=2",))):
      with self.subTest(name):
        flags = self.flags(
          name, *_NOT_PROBED, "--gin_param=num_epochs=1", *devices, gin_file=self.tiny
        )
        output, _ = self.finish(self.start(["-c", _COUNTED, *flags]))
        self.assertIn("NETWORKS 1\n", output)
        self.assertTrue(os.path.exists(self.path(f"{name}/report.html")))
        self.check_exported(name)

  def kill_when(self, condition, *processes):
    """Kills processes with SIGKILL as soon as a condition holds."""
    while not condition():
      for process in processes:
        if process.poll() is not None:
          self.fail(f"It ended before it was killed:\n{process.communicate()[1][-4000:]}")
      time.sleep(0.01)
    for process in processes:
      process.send_signal(signal.SIGKILL)
    for process in processes:
      process.communicate()

  def last_logged_step(self, model_dir):
    lines = metrics.read(self.path(f"{model_dir}/metrics.jsonl"))
    return max((line["step"] for line in lines), default=-1)

  def test_overwriting_a_received_run_deletes_nothing_of_others(self):
    model_dir, victim = self.path("received"), self.path("victim")
    tiny_run.train(self.data_dir, model_dir)
    shutil.copytree(os.path.join(model_dir, "checkpoints"), victim)
    before = _files(victim)
    thesis = os.path.join(model_dir, "checkpoints", "thesis.tex")
    saved_model = os.path.join(model_dir, "saved_model")

    def assert_refused(message, *flags):
      everything = _files(self.folder)
      process = self.start_training(*self.flags("received", *_NOT_PROBED, *flags))
      _, errors = process.communicate()
      self.assertEqual(process.returncode, 1, errors[-2000:])
      self.assertIn(message, errors)
      self.assertNotIn("Traceback", errors)
      self.assertEqual(_files(self.folder), everything)

    with open(thesis, "w", encoding="utf-8") as f:
      f.write("years of work")
    assert_refused("received contains 'checkpoints/thesis.tex', which this program", "--overwrite")
    os.remove(thesis)
    os.symlink(victim, saved_model)
    assert_refused(f"{saved_model} is a symbolic link to '{victim}'", "--overwrite")
    os.remove(saved_model)
    # Obstacles to the export are reported before the training.
    shutil.copytree(victim, saved_model)
    assert_refused("saved_model' exists, is not a SavedModel")
    shutil.rmtree(saved_model)
    # A list of checkpoints that TensorFlow would delete.
    with open(os.path.join(model_dir, "checkpoints", "checkpoint"), "w", encoding="utf-8") as f:
      f.write(
        f'model_checkpoint_path: "{victim}/ckpt-6"\n'
        f'all_model_checkpoint_paths: "{victim}/ckpt-4"\n'
        f'all_model_checkpoint_paths: "{victim}/ckpt-6"\n'
        "all_model_checkpoint_timestamps: 1.0\nall_model_checkpoint_timestamps: 2.0\n"
        "last_preserved_timestamp: 0.5\n"
      )
    tiny_run.train(self.data_dir, model_dir, num_epochs=4)
    self.assertEqual(_files(victim), before)
    self.assertEqual(checkpoints.latest(model_dir), os.path.join(model_dir, "checkpoints/ckpt-12"))
    # Its own older checkpoints, of the same names, are deleted.
    self.assertFalse(os.path.exists(os.path.join(model_dir, "checkpoints", "ckpt-6.index")))

  def test_killed_runs_end_as_one_that_never_was(self):
    often = "--gin_param=train.checkpoint_every_steps=7"
    flags = (*_NOT_PROBED, "--gin_param=num_epochs=20", often)
    output, errors = self.finish(self.start_training(*self.flags("whole", *flags)))
    # Before the first checkpoint: while the memory is filled, or even earlier.
    self.kill_when(
      lambda: os.path.exists(self.path("killed/operative_config.gin")),
      self.start_training(*self.flags("killed", *flags)),
    )
    self.assertIsNone(checkpoints.latest(self.path("killed")))
    # In the middle of an epoch.
    self.kill_when(
      lambda: self.last_logged_step("killed") >= 17,
      self.start_training(*self.flags("killed", *flags)),
    )
    self.assertLess(self.last_logged_step("killed"), 60)
    self.assertIn(_step(checkpoints.latest(self.path("killed"))), range(7, 60, 7))
    for number, first_step in ((signal.SIGTERM, 24), (signal.SIGINT, 36)):
      self.check_stop(number, first_step, flags)
    self.finish(self.start_training(*self.flags("killed", *flags)))
    self.assert_same_state(
      tiny_run.saved(self.path("killed")), tiny_run.saved(self.path("whole"))
    )
    steps = [line["step"] for line in metrics.read(self.path("killed/metrics.jsonl"))]
    self.assertEqual(steps, list(range(1, 61)))
    self.check_terminal(output, errors)

  def check_stop(self, number, first_step, flags):
    """Stops a run by a signal after some step: that step is saved."""
    process = self.start_training(*self.flags("killed", *flags))
    while self.last_logged_step("killed") < first_step:
      self.assertIsNone(process.poll(), "It was to be stopped, but has ended already.")
      time.sleep(0.01)
    process.send_signal(number)
    output, errors = process.communicate(timeout=100)
    self.assertEqual(process.returncode, 128 + number, errors)
    self.assertNotIn("Traceback", errors)
    self.assertIn("Stopped. Rerun the command to resume from the last checkpoint.", errors)
    step = self.last_logged_step("killed")
    self.assertIn(step, range(first_step, 60))
    self.assertIn(f"Saved step {step}.", output)
    self.assertEqual(_step(checkpoints.latest(self.path("killed"))), step)

  def test_a_comparison_takes_its_training_with_it(self):
    for number in (signal.SIGTERM, signal.SIGKILL):
      with self.subTest(number):
        folder = self.path(number.name)
        process = self.start([
          "tools/compare_seeds.py", f"--method=AVID: gin/avid.gin {self.tiny}", "--seeds=0",
          "--gin_param=num_epochs=2000", "--gin_param=train.checkpoint_every_steps=100000",
          "--gin_param=Probe.c_grid=(0.1,)", "--gin_param=Probe.batch_size=8",
          f"--output_dir={folder}",
        ])  # fmt: skip
        while self.last_logged_step(f"{number.name}/AVID-seed0") < 4:
          self.assertIsNone(process.poll(), "It was to be stopped, but has ended already.")
          time.sleep(0.02)
        process.send_signal(number)
        # Until the last process with the pipes ends.
        output, errors = process.communicate(timeout=100)
        self.assertEqual(process.returncode, -9 if number == signal.SIGKILL else 128 + number)
        self.assertNotIn("Traceback", errors)
        step = self.last_logged_step(f"{number.name}/AVID-seed0")
        self.assertIn(f"Saved step {step}.", output)
        self.assertEqual(_step(checkpoints.latest(f"{folder}/AVID-seed0")), step)

  def check_terminal(self, output, errors):
    self.assertEqual(errors, "")
    self.assertIn("  train.num_epochs = 20\n", output)
    self.assertIn("objective/video_bank/rows", output)
    self.assertRegex(output, r"\nEpoch 20/20: 3/3 \[.*clips/s, loss \d+\.\d+, run 00:00 left\]\n")
    self.assertIn(f": tensorboard --logdir={self.path('whole')}\n", output)
    self.assertTrue(os.path.exists(self.path("whole/tensorboard/projector_config.pbtxt")))
    for name in ("operative_config.gin", "checkpoints", "metrics.jsonl", "saved_model"):
      self.assertTrue(os.path.exists(self.path(f"whole/{name}")), name)
      self.assertIn(name, output)

  def start_workers(self, model_dir, *flags):
    ports = _free_ports(2)
    workers = [f"localhost:{port}" for port in ports]
    return [
      self.start_training(
        *self.flags(model_dir, *flags, gin_file=self.tiny),
        environment={
          "TF_CONFIG": json.dumps(
            {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
          )
        },
      )
      for index in range(2)
    ]

  def test_two_workers_learn_as_two_devices(self):
    flags = (
      *_PROBED, "--gin_param=num_epochs=3", "--gin_param=train.checkpoint_every_minutes=0.001"
    )  # fmt: skip
    self.kill_when(
      lambda: self.last_logged_step("workers") >= 3, *self.start_workers("workers", *flags)
    )
    chief, other = map(self.finish, self.start_workers("workers", *flags))
    self.assertIn("Resuming after step", chief[0])
    self.assertIn("Outputs in", chief[0])
    self.assertNotIn("Epoch", other[0])
    for _, errors in (chief, other):
      self.assertNotIn("Traceback", errors)
    self.assertEqual(
      sorted(os.listdir(self.path("workers"))),
      [
        "checkpoints", "metrics.jsonl", "operative_config.gin", "report.html", "saved_model",
        "tensorboard", "video_ids.txt",
      ],
    )
    for name in os.listdir(self.path("workers/checkpoints")):
      self.assertRegex(name, r"^(checkpoint|ckpt-\d+\..*)$")
    lines = metrics.read(self.path("workers/metrics.jsonl"))
    self.assertEqual([line["step"] for line in lines if "loss" in line], list(range(1, 10)))
    self.assertEqual([line["step"] for line in lines if "probe/knn_video" in line], [0, 9])

    devices, _ = self.finish(self.start_training(
      *self.flags("devices", *flags, "--virtual_devices=2", gin_file=self.tiny)
    ))
    self.assertIn("2 virtual CPUs: 2 replica(s)", devices)
    one, two = tiny_run.saved(self.path("workers")), tiny_run.saved(self.path("devices"))
    self.assertEqual(set(one), set(two))
    for name, value in one.items():
      if value.dtype != object:
        np.testing.assert_allclose(two[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    self.check_exported("workers")

  def check_exported(self, model_dir):
    loaded = loading.load(self.path(model_dir))
    generator = np.random.default_rng(0)
    video = tf.constant(generator.integers(0, 256, (2, 2, 16, 16, 3)), tf.uint8)
    audio = tf.constant(generator.normal(0, 0.1, (2, 2400, 1)), tf.float32)
    expected = loaded.network({keys.VIDEO: video, keys.AUDIO: audio})
    exported = tf.saved_model.load(self.path(f"{model_dir}/saved_model"))
    found = exported.signatures["serving_default"](video=video, audio=audio)
    for modality in keys.MODALITIES:
      np.testing.assert_allclose(
        found[f"{modality}_features"], expected[modality]["features"], rtol=1e-5, atol=1e-5
      )

  def test_mistakes_end_with_one_message(self):
    os.mkdir(self.path("other"))
    with open(self.path("other/thesis.tex"), "w", encoding="utf-8") as f:
      f.write("years of work")
    with open(self.path("file"), "w", encoding="utf-8") as f:
      f.write("")
    cases = {
      "there is no (finished) data set": self.flags("a", "--gin_param=data_dir='nowhere'"),
      "has no split 'tarin'": self.flags("a", "--gin_param=train.split='tarin'"),
      "batch_size is 64, but split 'train'": self.flags("a", "--gin_param=batch_size=64"),
      "ClipSpec.audio_sec is 9 s, but": self.flags("a", "--gin_param=ClipSpec.audio_sec=9"),
      "Did you mean num_epochs?": self.flags("a", "--gin_param=num_epoch=3"),
      "gin/avd.gin: no such file": ["--gin_file=gin/avd.gin"],
      "does not set train.task": ["--gin_file=gin/base/demo.gin"],
      "contains 'thesis.tex', but no run": self.flags("other"),
      "contains 'thesis.tex', but no": self.flags("other", "--overwrite"),
      "File exists": self.flags("file"),
      "--virtual_devices=-1; expected 0 or more": self.flags("a", "--virtual_devices=-1"),
      "expected one of float32": self.flags("a", "--gin_param=precision='float8'"),
    }
    process = self.start(["-c", _MISTAKES])
    output, errors = process.communicate(json.dumps(list(cases.values())))
    self.assertEqual(process.returncode, 0, errors)
    found = [line.split(" ", 1)[1] for line in output.splitlines() if line.startswith("ENDING")]
    self.assertEqual(len(found), len(cases))
    for (expected, flags), ending in zip(cases.items(), map(json.loads, found)):
      with self.subTest(flags):
        self.assertIn(expected, ending)
        self.assertTrue(ending.startswith("Error: "), ending)
        self.assertNotIn("In call to configurable 'train'", ending)
    self.assertNotIn("Traceback", errors)
    self.assertTrue(os.path.exists(self.path("other/thesis.tex")))

  def test_message_is_all_that_is_seen(self):
    process = self.start_training(
      *self.flags("run", "--gin_param=learning_rate=1e30", *_NOT_PROBED, gin_file=self.tiny)
    )
    errors = process.communicate()[1]
    self.assertEqual(process.returncode, 1)
    self.assertRegex(errors, r"^Error: .*NaN or infinit.*the last good checkpoint is .*ckpt-0\.")
    self.assertEqual(len(errors.splitlines()), 2, errors)
    for name, value in tiny_run.saved(self.path("run")).items():
      if value.dtype != object:
        self.assertTrue(np.isfinite(value).all(), name)

  def test_builds_the_demo_data_where_there_is_none(self):
    process = self.start_training(
      *self.flags("run", "--gin_param=num_epochs=1"), *_NOT_PROBED,
      "--gin_param=data_dir=@DemoData()", "--gin_param=PlanarWorld.num_train=16",
      f"--gin_param=DemoData.folder='{self.path('demo')}'", "--gin_param=PlanarWorld.num_test=2",
    )  # fmt: skip
    output, _ = self.finish(process)
    self.assertIn(f"There is no demo data in {self.path('demo')} yet: building it.", output)
    # The new run no longer requires it.
    os.rename(self.path("demo"), self.path("gone"))
    self.assertEqual(loading.load(self.path("run")).data_dir, self.path("demo"))


def _environment():
  environment = {**os.environ, "PYTHONPATH": str(source_tree.ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
  environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
  environment.pop("TF_CONFIG", None)
  return environment


def _free_ports(count):
  sockets = [socket.socket() for _ in range(count)]
  for free in sockets:
    free.bind(("localhost", 0))
  ports = [free.getsockname()[1] for free in sockets]
  for free in sockets:
    free.close()
  return ports


def _step(checkpoint):
  return int(checkpoint.rpartition("-")[2])


if __name__ == "__main__":
  unittest.main()
