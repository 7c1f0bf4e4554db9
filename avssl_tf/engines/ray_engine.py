"""Runs tasks on a Ray cluster: one worker (an actor) for each CPU, or GPU, of each node.

A worker keeps its process and what a task function caches in it. If a node dies, other workers run
its tasks again. If a task raises an exception, its node is not used further (its disk may be full);
the exception is raised here only if there is no other node, or if the task fails there too.
"""

import collections
import contextlib
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import ray
from absl import logging
from ray import exceptions
from ray.job_config import JobConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from avssl_tf import stops
from avssl_tf.engines import machine_facts
from avssl_tf.engines.attempts import Attempts, Begun
from avssl_tf.engines.engine import Engine, Monitor, WorkerError, use_one_core

_POLL_SEC = 0.5
_STORE_BYTES = 100 << 20  # Tasks and results are small.


class RayEngine(Engine):
  """Processes on the nodes of a Ray cluster."""

  def __init__(self, address: Optional[str], num_workers: int, uses_gpus: bool = False):
    """Stores the settings.

    Args:
      address: address of a running cluster; None starts one on this machine.
      num_workers: number of CPUs of a cluster that is started.
      uses_gpus: whether workers get a GPU each on nodes that have GPUs.
    """
    self._address = address
    self._num_workers = num_workers
    self._uses_gpus = uses_gpus
    self._files: tuple[Sequence[str], Sequence[str]] = ((), ())
    self.addresses: dict[str, Optional[str]] = {}  # Of checked nodes; None if not to be used.

  def __enter__(self) -> "RayEngine":
    """Connects to the cluster, or starts one; raises `WorkerError`."""
    options = {"address": self._address} if self._address else {
      "address": "local", "num_cpus": self._num_workers, "include_dashboard": False,
      "object_store_memory": _STORE_BYTES,
    }  # fmt: skip
    try:
      with stops.kept_from_others():
        job = JobConfig(_py_driver_sys_path=[str(pathlib.Path(__file__).parents[2])])
        ray.init(log_to_driver=False, logging_level="error", job_config=job, **options)
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
      where = f"--ray_address={self._address}" if self._address else "--engine=ray"
      raise WorkerError(f"{where}: Ray does not start: {error}") from error
    return self

  def __exit__(self, *exc_info) -> None:
    """Disconnects; ends the cluster if it was started here."""
    ray.shutdown()

  def check_files(self, shared: Sequence[str], inputs: Sequence[str]) -> None:
    """See `Engine.check_files`; the packages of the nodes must agree too."""
    self._files = (shared, inputs)
    self.addresses.clear()
    self.places()

  def run(self, function, tasks, on_progress=None) -> Iterator[tuple[int, Any]]:
    """See `Engine.run`."""
    with contextlib.closing(_Run(self, function, tasks)) as run:
      yield from run.results(on_progress or (lambda num_items: None))

  def places(self) -> dict[str, tuple[str, int]]:
    """For each usable node, what a worker occupies, and the most workers; checks new nodes."""
    found = {}
    for node in ray.nodes():
      node_id, has = node["NodeID"], node["Resources"]
      if node["Alive"] and node_id not in self.addresses:
        self._check(node_id, node["NodeManagerAddress"])
      if node["Alive"] and self.addresses.get(node_id):
        resource = "GPU" if self._uses_gpus and has.get("GPU") else "CPU"
        if has.get(resource, 0) >= 1:
          found[node_id] = resource, int(has[resource])
    return found

  def _check(self, node_id: str, address: str) -> None:
    look = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=_at(node_id))
    try:
      there = ray.get(look(machine_facts.facts).remote(os.getcwd(), *self._files))
    except exceptions.RayTaskError as error:
      raise WorkerError(f"Machine {address} cannot run this package: {error}") from error
    except exceptions.RayError:
      return  # It has just died; otherwise it is checked again.
    here = machine_facts.facts(os.getcwd(), *self._files)
    if wrong := machine_facts.differences(address, there, here):
      raise WorkerError(wrong)
    self.addresses[node_id] = address


def _at(node_id: str) -> NodeAffinitySchedulingStrategy:
  return NodeAffinitySchedulingStrategy(node_id, soft=False)


class _Worker:  # Actor that runs tasks.
  def __init__(self, folder: str, begun: Any, hide_gpus: bool):
    with contextlib.suppress(OSError):  # Relative paths would have been reported.
      os.chdir(folder)
    use_one_core(hide_gpus)
    self._begun = begun

  def ready(self) -> None: ...

  def run(self, function, position: int, task, skip: dict[int, str]) -> Any:
    def begin(item: int) -> None:
      ray.get(self._begun.begin.remote(position, item))  # Known before this process may die.

    begin(-1)
    return function(task, Monitor(begin, skip))


class _Run:  # Workers and tasks of one `RayEngine.run`.
  def __init__(self, engine: RayEngine, function, tasks):
    self._engine = engine
    self._work = (function, tasks)
    self._attempts = Attempts(len(tasks))
    # Node, actor and task of each worker, by its future; the task is None while it starts.
    self._busy: dict[Any, tuple[str, Any, Optional[int]]] = {}
    self._idle: list[tuple[str, Any]] = []
    here = _at(ray.get_runtime_context().get_node_id())
    self._begun = ray.remote(num_cpus=0, scheduling_strategy=here)(Begun).remote()

  def results(self, on_progress) -> Iterator[tuple[int, Any]]:
    (function, tasks), attempts, looked_sec = self._work, self._attempts, 0.0
    while attempts.waiting or any(position is not None for *_, position in self._busy.values()):
      if not self._busy or time.monotonic() - looked_sec > _POLL_SEC:
        looked_sec = time.monotonic()
        self._hire()
        on_progress(ray.get(self._begun.total.remote()))
      while self._idle and attempts.waiting:
        node_id, actor = self._idle.pop()
        position = attempts.waiting.popleft()
        future = actor.run.remote(function, position, tasks[position], attempts.skip(position))
        self._busy[future] = node_id, actor, position
      for future in ray.wait(list(self._busy), timeout=_POLL_SEC)[0]:
        node_id, actor, position = self._busy.pop(future)
        try:
          result = ray.get(future)
        except exceptions.RaySystemError:
          raise
        except exceptions.RayError as error:
          ray.kill(actor)
          attempts.lost(position)
          self._handle(error, node_id, position)
        else:
          self._idle.append((node_id, actor))
          if position is not None:
            yield position, result

  def close(self) -> None:
    """Ends the workers at once: their unfinished files are temporary ones."""
    for _, actor, *_ in (*self._busy.values(), *self._idle, ("", self._begun)):
      ray.kill(actor)

  def _hire(self) -> None:
    """Starts workers in free places, at most one for each waiting task."""
    places = self._engine.places()
    self._idle = [worker for worker in self._idle if worker[0] in places]
    taken = collections.Counter(node_id for node_id, *_ in (*self._busy.values(), *self._idle))
    starting = sum(position is None for *_, position in self._busy.values())
    wanted = len(self._attempts.waiting) - len(self._idle) - starting
    for node_id, (resource, count) in places.items():
      for _ in range(min(count - taken[node_id], wanted)):
        needs = {"num_cpus": int(resource == "CPU"), "num_gpus": int(resource == "GPU")}
        kind = ray.remote(**needs, scheduling_strategy=_at(node_id))(_Worker)
        actor = kind.remote(os.getcwd(), self._begun, resource == "CPU")
        self._busy[actor.ready.remote()] = node_id, actor, None
        wanted -= 1
    if not (self._busy or self._idle):
      raise WorkerError("The Ray cluster has no usable CPUs. Start a node, and rerun the command.")

  def _handle(self, error: exceptions.RayError, node_id: str, position: Optional[int]) -> None:
    """Decides what follows from an exception of a task, or from the death of a worker."""
    if isinstance(error, exceptions.RayTaskError):
      address, self._engine.addresses[node_id] = self._engine.addresses[node_id], None
      if self._attempts.failed(position) or not self._engine.places():
        raise error.cause from error
      logging.warning("Machine %s is not used further, because of: %s", address, error.cause)
      return
    died = (exceptions.ActorDiedError, exceptions.OutOfMemoryError)
    if isinstance(error, died) and node_id in self._engine.places():  # Otherwise the node died.
      item = None if position is None else ray.get(self._begun.last.remote(position))
      if not self._attempts.died(position, item):
        raise WorkerError(f"The worker processes die at startup: {error}") from error
