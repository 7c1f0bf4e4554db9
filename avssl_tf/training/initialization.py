"""Initialisation of a run: weights and memory of another run, and filling the memory banks."""

from collections.abc import Sequence
from typing import Callable, Optional

import tensorflow as tf

from avssl_tf.progress import Bar
from avssl_tf.tasks.task import Task
from avssl_tf.training import checkpoints, inherited_memory, strategies
from avssl_tf.training.training_data import TrainingData


def begin(
  trained: Task,
  strategy: tf.distribute.Strategy,
  data: TrainingData,
  ids: Sequence[str],
  init_from: Optional[str],
  init_epoch: Optional[int],
  init_parts: str,
  init_memory: bool,
  fill_memory: bool,
  measure: Callable[[], None],
  seed: int,
) -> None:
  """Brings a new task to its state at step 0.

  Args:
    trained: the task.
    strategy: the strategy under which it was created.
    data: the training data.
    ids: video ids, in the order of the rows of its memory banks.
    init_from: see `trainer.train`.
    init_epoch: see `trainer.train`.
    init_parts: see `trainer.train`.
    init_memory: see `trainer.train`.
    fill_memory: see `trainer.train`.
    measure: called once the network is initialised, before the memory banks are filled.
    seed: random seed of the run.

  Raises:
    InitializationError: the memory banks of `init_from` do not match this run.
    CheckpointError: the network of `init_from` does not match this run.
  """
  objective = trained.objective
  memory = None
  if init_from is not None:
    # Network and memory come from the same checkpoint.
    path = checkpoints.start_of(init_from, init_epoch, checkpoints.TASK)
    backbones_alone = init_parts == "backbones"
    if init_memory and not backbones_alone:
      in_order = not data.info.build.get("shuffle")
      memory = inherited_memory.memory_from(init_from, path, objective, ids, in_order)
    checkpoints.restore_network(trained.network, path, backbones_alone)
  if memory is not None:
    memory.write_to(objective)
  elif not fill_memory and objective is not None and objective.warmup_epochs == 0:
    strategies.print_on_chief(
      f"WARNING: the memory banks are random, but {type(objective).__name__} uses their content "
      "from the first step on. Set train.fill_memory=True, train.init_from to a run with memory "
      "banks, or "
      f"{type(objective).__name__}.warmup_epochs to a positive number."
    )
  measure()
  if fill_memory and not (memory and memory.is_complete):
    _fill_memory(trained, strategy, data, seed)
    if memory is not None:
      memory.write_to(objective)


def _fill_memory(trained: Task, strategy, data: TrainingData, seed: int) -> None:
  """Fills the memory banks of the task, if it has any, with one embedding per video."""
  if trained.objective is None:
    return

  @tf.function
  def fill(batch):
    strategy.run(trained.fill_step, args=(batch,))

  # One pass over all records in a random order, with a separate seed.
  batches = iter(data.batches(0, "shuffle", seed + 1))
  num_steps = -(-data.num_videos // data.batch_size)
  steps = range(num_steps)
  for _ in Bar("Filling the memory", items=steps, shown=strategies.is_chief(), logged=False):
    fill(next(batches))
