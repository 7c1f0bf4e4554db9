"""Tests of the engine on a Ray cluster of two nodes of this machine: results, faults, refusals."""

import glob
import os
import subprocess
import sys
import threading
import time
from unittest import mock

import numpy as np
from absl.testing import absltest
from pyarrow import parquet
from ray import cluster_utils

from avssl_tf.applications.embedding import embed
from avssl_tf.data.building.build import build
from avssl_tf.engines import engine, engine_choice
from avssl_tf.errors import UserError
from tests import colour_encoder, media_variants, source_tree
from tests.data.building import build_case, fake_source
from tests.engines import fake_tasks

_NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}


class RayEngineTest(build_case.BuildCase):
  """All tests share the cluster."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=_NODE)
    cls.addClassCleanup(cls.cluster.shutdown)
    cls.second = cls.cluster.add_node(**_NODE)

  def engine(self):
    return engine_choice.choose("ray", 1, self.cluster.address)

  def run_tasks(self, function, tasks):
    with self.engine() as ray_engine:
      return dict(ray_engine.run(function, tasks))

  def test_all_tasks_are_done_and_only_items_that_kill_are_left_out(self):
    marker, begun = os.path.join(self.new_folder(), "marker"), []
    tasks = [[1, "crash", 2, "crash"], [], [3, 4], [f"crash once {marker}", 5]]
    with self.engine() as ray_engine:
      results = dict(ray_engine.run(fake_tasks.double, tasks, begun.append))
      crashed = engine.CRASHED
      self.assertEqual(results, {0: [2, crashed, 4, crashed], 1: [], 2: [6, 8], 3: [marker, 10]})
      self.assertGreater(begun[-1], 0)
      places = dict(ray_engine.run(fake_tasks.meet, [self.new_folder()] * 2))
      self.assertNotEqual(places[0], places[1])

  def test_processes_that_cannot_start_end_the_run(self):
    with self.assertRaisesRegex(engine.WorkerError, "die at startup"):
      self.run_tasks(fake_tasks.double, [[fake_tasks.CannotStart()]])

  def test_a_full_disk_of_one_node_leaves_the_work_to_the_other(self):
    marker = os.path.join(self.new_folder(), "first")
    places = self.run_tasks(fake_tasks.fails_on_first_node, [marker] * 4)
    self.assertLen(places, 4)
    with open(marker, encoding="utf-8") as f:
      self.assertNotIn(f.read(), places.values())

  def test_an_error_on_two_nodes_is_raised(self):
    with self.assertRaisesRegex(KeyError, "raise"):
      self.run_tasks(fake_tasks.double, [["raise"], [1]])

  def test_a_file_that_another_node_does_not_see(self):
    # The path depends on the working folder of the process.
    path = "/proc/self/cwd/inputs/07"
    before = os.getcwd()
    self.addCleanup(os.chdir, before)
    os.chdir(os.path.dirname(self.inputs))
    with self.engine() as ray_engine:
      with self.assertRaisesRegex(engine.WorkerError, f"(?s)Machine .* {path}: No such file"):
        ray_engine.check_files([], [path])

  def test_no_cluster(self):
    with self.assertRaisesRegex(engine.WorkerError, "--ray_address=127.0.0.1:9: no Ray cluster"):
      engine_choice.choose("ray", 1, "127.0.0.1:9")
    with self.assertRaisesRegex(UserError, "--ray_address=auto requires --engine=ray"):
      engine_choice.choose("local", 1, "auto")

  def test_a_driver_killed_and_then_a_node(self):
    self.break_files()
    settings = {"delay_sec": 0.05, "num_shards": 6}
    command = [sys.executable, fake_source.__file__, self.inputs, self.output, "2"]
    environment = {**os.environ, "PYTHONPATH": str(source_tree.ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen([*command, self.cluster.address], env=environment)
    self.wait_for_shards(1)
    process.kill()
    process.wait()
    self.assertNotIn("dataset_info.json", os.listdir(self.output))
    killer = threading.Thread(target=self.kill_second_node, args=(self.count_shards() + 1,))
    killer.start()
    recipe = fake_source.recipe(self.inputs, **settings)
    result = build(recipe, self.output, max_failure_rate=0.9, engine=self.engine())
    killer.join()
    type(self).second = self.cluster.add_node(**_NODE)
    self.assertLen(result.failures, 3)
    self.assertEqual(build_case.all_bytes(self.output), self.reference(**settings))
    left = [name for _, _, names in os.walk(self.output) for name in names if ".tmp" in name]
    self.assertEmpty(left)

  def test_embeddings(self):
    for i in range(8):
      path = os.path.join(self.inputs, f"{i}.flac")
      sound = media_variants.sine(3.0, frequency_hz=300 * (i + 1))
      media_variants.write_media(path, None, sound, audio_codec="flac")
    found = {}
    with mock.patch.object(embed, "_FILES_PER_TASK", 2):
      for name in ("local", "ray"):
        job = embed.Job(
          input=self.inputs, output=os.path.join(self.output, f"{name}.parquet"), engine=name,
          ray_address=self.cluster.address if name == "ray" else None,
        )  # fmt: skip
        job.check()
        told = embed.run(colour_encoder.make(), "ckpt-7", "runs/x", job, colour_encoder.load)
        self.assertIn("24 windows of 8 file(s)", told[0])
        table = parquet.read_table(job.output)
        found[name] = table.column("audio_embeddings").combine_chunks().values.to_numpy()
        self.assertEqual(os.listdir(job.output), ["part-00000-of-00001.parquet"])
    np.testing.assert_allclose(found["ray"], found["local"], atol=1e-6)

  def kill_second_node(self, num_shards):
    self.wait_for_shards(num_shards)
    self.cluster.remove_node(self.second, allow_graceful=False)

  def wait_for_shards(self, count):
    deadline_sec = time.monotonic() + 300  # Nodes and processes start in it.
    while self.count_shards() < count:
      self.assertLess(time.monotonic(), deadline_sec, "The build is stuck.")
      time.sleep(0.01)

  def count_shards(self):
    return len(glob.glob(os.path.join(self.output, ".build", "0", "*.json")))


if __name__ == "__main__":
  absltest.main()
