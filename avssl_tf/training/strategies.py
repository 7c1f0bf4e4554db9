"""Distribution strategies: one device, all GPUs, virtual CPUs, or several machines."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Callable

import tensorflow as tf

from avssl_tf import cluster, replicas
from avssl_tf.cluster import is_chief
from avssl_tf.errors import UserError
from avssl_tf.training.configurations.settings import ConfigurationError

# Errors of TensorFlow when a worker of a cluster is lost.
_LOST_WORKER_ERRORS = (tf.errors.UnavailableError, tf.errors.InternalError, tf.errors.AbortedError)


class ChiefError(UserError):
  """The chief of a cluster failed, so this worker stops as well."""


class LostWorkerError(UserError):
  """The connection to a worker of the cluster is lost."""


def create(virtual_devices: int = 0) -> tf.distribute.Strategy:
  """Selects the distribution strategy of this process.

  Must be called before TensorFlow initialises its devices.

  - `TF_CONFIG` lists several workers: `MultiWorkerMirroredStrategy`.
  - several GPUs, or `virtual_devices` of at least 2: `MirroredStrategy`.
  - otherwise: one device, TensorFlow's default strategy.

  Args:
    virtual_devices: number of virtual CPU replicas; 0 or 1 does not divide the CPU.

  Returns:
    The strategy; variables must be created in its scope.

  Raises:
    ConfigurationError: `virtual_devices` is negative, or is set on a cluster or after TensorFlow
      has initialised its devices.
    UserError: `TF_CONFIG` is invalid.
  """
  if virtual_devices < 0:
    raise ConfigurationError(f"--virtual_devices={virtual_devices}; expected 0 or more.")
  num_workers = count_workers()
  if num_workers > 1 and virtual_devices > 1:
    raise ConfigurationError(
      "--virtual_devices requires a single machine, but TF_CONFIG lists several."
    )
  if virtual_devices > 1:
    _cut_cpu(virtual_devices)
  gpus = tf.config.list_physical_devices("GPU")
  for gpu in gpus:
    tf.config.experimental.set_memory_growth(gpu, True)
  if num_workers > 1:
    if is_chief():
      print(f"Waiting for {num_workers} workers: {', '.join(cluster.workers())}", flush=True)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
  elif virtual_devices > 1:
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(virtual_devices)])
  elif len(gpus) > 1:
    strategy = tf.distribute.MirroredStrategy()
  else:
    strategy = tf.distribute.get_strategy()
  if is_chief():
    print(_description(strategy, num_workers, len(gpus), virtual_devices), flush=True)
  return strategy


def print_on_chief(text: str) -> None:
  """Prints a message on the chief only."""
  if is_chief():
    print(text, flush=True)


def count_workers() -> int:
  """Number of processes in the cluster of `TF_CONFIG`; 0 without `TF_CONFIG`."""
  return len(cluster.workers())


def gather(strategy: tf.distribute.Strategy, number: int) -> list[int]:
  """Gathers the `number` of each replica of each worker; blocks until all have arrived."""
  if strategy.num_replicas_in_sync == 1:
    return [number]
  results = _exchange(strategy)(tf.constant([number], tf.int64))
  return strategy.experimental_local_results(results)[0].numpy().tolist()


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
  """Whether `flag` is true on any worker; the same on all. Without a cluster, `flag` itself."""
  return flag if count_workers() < 2 else any(gather(strategy, int(flag)))


def on_chief(strategy: tf.distribute.Strategy, function: Callable[[], None]) -> None:
  """Calls `function` on the chief only, while the other workers wait.

  Raises:
    Exception: on the chief, the exception that `function` raised.
    ChiefError: on the other workers, if `function` raised an exception.
  """
  failure = None
  if is_chief():
    try:
      function()
    except Exception as error:  # Raised below, once the other workers are informed.
      failure = error
  failures = gather(strategy, int(failure is not None))
  if failure is not None:
    raise failure
  if any(failures):
    raise ChiefError("The chief worker failed; see its error message.")


@contextlib.contextmanager
def lost_workers_named() -> Iterator[None]:
  """Turns TensorFlow's errors of a lost worker into a `LostWorkerError`; only on clusters."""
  try:
    yield
  except _LOST_WORKER_ERRORS as error:
    if count_workers() < 2:
      raise
    raise LostWorkerError(
      f"{error}\nLost connection to a worker. Restart all workers: they resume from the last "
      "checkpoint."
    ) from error


@functools.cache
def _exchange(strategy: tf.distribute.Strategy):
  """`replicas.all_gather` under `strategy`, traced once."""
  return tf.function(
    lambda numbers: strategy.run(replicas.all_gather, args=(numbers,)),
    input_signature=[tf.TensorSpec([1], tf.int64)],
    autograph=False,
  )


def _description(strategy, num_workers: int, num_gpus: int, virtual_devices: int) -> str:
  num_replicas = strategy.num_replicas_in_sync
  devices = f"{virtual_devices} virtual CPUs" if virtual_devices > 1 else "the CPU"
  if num_gpus and virtual_devices < 2:
    devices = f"{num_gpus} GPU(s)"
  workers = f" of each of {num_workers} workers" if num_workers > 1 else ""
  return f"Training on {devices}{workers}: {num_replicas} replica(s)."


def _cut_cpu(num_devices: int) -> None:
  cpu = tf.config.list_physical_devices("CPU")[0]
  try:
    tf.config.set_logical_device_configuration(
      cpu, [tf.config.LogicalDeviceConfiguration()] * num_devices
    )
  except RuntimeError as error:
    raise ConfigurationError(
      f"--virtual_devices={num_devices} must be set before TensorFlow initialises its devices."
    ) from error
