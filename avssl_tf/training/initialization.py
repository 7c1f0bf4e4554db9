"""What a run does before its first step: it takes over what another knows, and fills its memory."""

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
  """Brings a task, as it was made, to the state of step 0.

  Args:
    trained: the task.
    strategy: the strategy that it was made under.
    data: what it will be trained on.
    ids: ids of the videos, in the order of the rows of its memory banks.
    init_from: see `trainer.train`.
    init_epoch: the same.
    init_parts: the same.
    init_memory: the same.
    fill_memory: the same.
    measure: called once the network is there, before it is used.
    seed: of the run.

  Raises:
    InitializationError: the network or the banks of `init_from` do not fit.
  """
  objective = trained.objective
  memory = None
  if init_from is not None:
    # One checkpoint for both.
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
      "WARNING: the memory banks begin at random, and what "
      f"{type(objective).__name__} looks for there from the first step on is not there. Set "
      "train.fill_memory=True, train.init_from to a run with memory banks, or "
      f"{type(objective).__name__}.warmup_epochs to some epochs."
    )
  measure()
  if fill_memory and not (memory and memory.is_complete):
    _fill_memory(trained, strategy, data, seed)
    if memory is not None:
      memory.write_to(objective)


def _fill_memory(trained: Task, strategy, data: TrainingData, seed: int) -> None:
  """Embeds every video once into the memory of the task, if it has one."""
  if trained.objective is None:
    return

  @tf.function
  def fill(batch):
    strategy.run(trained.fill_step, args=(batch,))

  # One pass over all records in a random order, by a seed of its own.
  batches = iter(data.batches(0, "shuffle", seed + 1))
  num_steps = -(-data.num_videos // data.batch_size)
  steps = range(num_steps)
  for _ in Bar("Filling the memory", items=steps, shown=strategies.is_chief(), logged=False):
    fill(next(batches))
