"""Where a run computes: one device, all GPUs, virtual CPUs, or several machines."""

import json
import os

import tensorflow as tf
from absl import logging


def create(virtual_devices: int = 0) -> tf.distribute.Strategy:
  """Picks the distribution strategy of this process.

  Must run before TensorFlow touches its devices.

  - `TF_CONFIG` names several workers: `MultiWorkerMirroredStrategy`.
  - several GPUs, or `virtual_devices` of at least 2: `MirroredStrategy`.
  - otherwise: one device, TensorFlow's default strategy.

  Args:
    virtual_devices: cut the CPU into so many replicas; 0 leaves it whole.

  Returns:
    The strategy, under whose scope variables are to be created.

  Raises:
    ValueError: a negative number, or virtual devices asked for after
      TensorFlow has started.
  """
  if virtual_devices < 0:
    raise ValueError(f"--virtual_devices must be 0 or more, got {virtual_devices}.")
  if virtual_devices > 1:
    _cut_cpu(virtual_devices)
  gpus = tf.config.list_physical_devices("GPU")
  for gpu in gpus:
    tf.config.experimental.set_memory_growth(gpu, True)
  num_workers = len(_cluster_workers())
  if num_workers > 1:
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
  elif virtual_devices > 1:
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(virtual_devices)])
  elif len(gpus) > 1:
    strategy = tf.distribute.MirroredStrategy()
  else:
    strategy = tf.distribute.get_strategy()
  logging.info(
    "%d worker(s), %d replica(s) in all, %d GPU(s) here.",
    max(1, num_workers),
    strategy.num_replicas_in_sync,
    len(gpus),
  )
  return strategy


def is_chief() -> bool:
  """Whether this process writes the run's files (worker 0, or the only one)."""
  task = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {})
  return task.get("type", "worker") == "chief" or (
    task.get("index", 0) == 0 and "chief" not in _cluster()
  )


def _cluster() -> dict:
  return json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})


def _cluster_workers() -> list:
  cluster = _cluster()
  return list(cluster.get("chief", [])) + list(cluster.get("worker", []))


def _cut_cpu(num_devices: int) -> None:
  cpu = tf.config.list_physical_devices("CPU")[0]
  try:
    tf.config.set_logical_device_configuration(
      cpu, [tf.config.LogicalDeviceConfiguration()] * num_devices
    )
  except RuntimeError as error:
    raise ValueError(
      f"--virtual_devices={num_devices} came after TensorFlow had started; set it first."
    ) from error
