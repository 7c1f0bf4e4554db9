"""A training run, from records to checkpoints, metrics and probe results."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

import gin
import numpy as np
import tensorflow as tf

from avssl_tf.data.building.demo import DemoData
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.pipeline.draws import SAMPLINGS
from avssl_tf.errors import NonFiniteError, UserError
from avssl_tf.evaluation.frozen.memory_probe import MemoryProbe
from avssl_tf.evaluation.frozen.probe import Probe
from avssl_tf.models.network import Network
from avssl_tf.progress import bar_when_called, on_terminal
from avssl_tf.tasks.task import Task
from avssl_tf.training import (
  batch_picture,
  checkpoints,
  fitting,
  initialization,
  run_folder,
  run_start,
  strategies,
)
from avssl_tf.training.callbacks import checkpointing, epoch_bar, epoch_start, loss_log
from avssl_tf.training.metrics import Metrics
from avssl_tf.training.run_probe import RunProbe
from avssl_tf.training.training_data import TrainingData

# Parts of another run's network that can initialise this one.
INIT_PARTS = ("all", "backbones")
# Keras precision policies.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass
class Result:
  """The result of a run.

  Attributes:
    task: the trained task.
    probes: probe results by step.
  """

  task: Task
  probes: dict[int, dict[str, float]]


@gin.configurable
def train(
  model_dir: str,
  strategy: tf.distribute.Strategy,
  data_dir: Union[str, DemoData] = gin.REQUIRED,
  network: Callable[..., Network] = gin.REQUIRED,
  task: Callable[..., Task] = gin.REQUIRED,
  optimizer: Callable[..., Any] = gin.REQUIRED,
  schedule: Callable[..., Any] = gin.REQUIRED,
  clip: ClipSpec = gin.REQUIRED,
  augmentation: Optional[Augmentation] = None,
  probe: Optional[Probe] = None,
  memory_probe: Optional[MemoryProbe] = None,
  probe_every_epochs: int = 0,
  split: str = "train",
  batch_size: int = 32,
  accumulate_steps: int = 1,
  num_epochs: int = 1,
  clips_per_video: int = 1,
  sampling: str = "independent",
  precision: str = "float32",
  init_from: Optional[str] = None,
  init_epoch: Optional[int] = None,
  init_parts: str = "all",
  init_memory: bool = True,
  fill_memory: bool = True,
  checkpoint_every_steps: Optional[int] = 500,
  checkpoint_every_minutes: Optional[float] = None,
  keep_epochs: Sequence[int] = (),
  log_every_steps: int = 50,
  batch_pictures: int = 3,
  seed: int = 0,
) -> Result:
  """Trains or resumes the run in `model_dir`.

  All random numbers are derived from `seed` and the step. A run that was killed and resumed
  therefore ends in the same state as an uninterrupted one.

  Args:
    model_dir: folder of the run, locked by the caller.
    strategy: distribution strategy from `strategies.create`.
    data_dir: folder of the records.
    network: creates the network.
    task: creates the task that trains it; called with `network`, `num_videos`, `num_classes` and
      `seed`.
    optimizer: creates the optimiser; called with a learning-rate schedule.
    schedule: creates the schedule; called with `total_steps` and `steps_per_epoch`.
    clip: the part of a record that the network receives.
    augmentation: augmentation of the training clips; None disables it.
    probe: evaluates the frozen network; None disables the probe.
    memory_probe: evaluates the memory banks of the objective, if any, together with each probe.
    probe_every_epochs: number of epochs between probes; 0: only before and after training.
    split: records to train on.
    batch_size: clips per step, over all replicas of all machines.
    accumulate_steps: number of parts of the batch that each replica computes one after another, to
      save memory: a step still uses `batch_size` clips and gives the same update, except that batch
      normalisation uses the statistics of each part.
    num_epochs: total number of epochs.
    clips_per_video: average number of clips per record and epoch; per source video if `sampling`
      draws source videos.
    sampling: see `datasets.training_dataset`.
    precision: Keras precision policy: float32, mixed_bfloat16 or mixed_float16.
    init_from: folder of a run, or of a converted checkpoint, with the initial network and memory
      banks; None: random weights.
    init_epoch: epoch of the checkpoint in `init_from`, one of the `keep_epochs` of that run; None:
      its latest checkpoint.
    init_parts: `"all"` initialises the whole network, `"backbones"` only the video and audio
      networks, without heads, translation and memory banks.
    init_memory: also initialise the memory banks and the NCE constant from `init_from`, if both
      runs have them; see `inherited_memory.memory_from`.
    fill_memory: fill the memory banks with one embedding per video before step 0, unless
      `init_from` provides all rows.
    checkpoint_every_steps: number of steps between checkpoints; None: only the time counts. The
      latest two checkpoints are retained.
    checkpoint_every_minutes: time between checkpoints, in addition; None: only steps count.
    keep_epochs: epochs after which a checkpoint is kept permanently, for use as the `init_epoch` of
      another run.
    log_every_steps: number of steps averaged by one line of the log.
    batch_pictures: number of initial epochs at the start of which the input clips are drawn for
      TensorBoard; 0 disables it.
    seed: random seed.

  Returns:
    The trained task and its probe results.

  Raises:
    ConfigurationError: the run was started with other settings.
    UserError: the settings do not match the data.
    NonFiniteError: a loss or a weight became NaN or infinite.
  """
  _check_choices(
    precision=(precision, PRECISIONS),
    sampling=(sampling, SAMPLINGS),
    init_parts=(init_parts, INIT_PARTS),
  )
  _check_counts(
    num_epochs=num_epochs,
    accumulate_steps=accumulate_steps,
    log_every_steps=log_every_steps,
  )
  _check_intervals(checkpoint_every_steps, checkpoint_every_minutes)
  if keep_epochs and min(keep_epochs) < 1:
    raise UserError(f"keep_epochs is {tuple(keep_epochs)}; expected values of 1 or more.")
  if init_from is None and init_epoch is not None:
    raise UserError(f"init_epoch is {init_epoch}, but init_from is not set: set both.")
  if init_from is not None and checkpoints.latest(model_dir) is None:
    checkpoints.start_of(init_from, init_epoch)
  is_chief = strategies.is_chief()
  for folder in (data_dir, probe and probe.data_dir):
    if isinstance(folder, DemoData):
      strategies.on_chief(strategy, folder.build_if_missing)
  data = TrainingData(
    data_dir, split, clip, augmentation, batch_size, clips_per_video, strategy, sampling
  )
  tf.keras.utils.set_random_seed(seed)
  tf.keras.mixed_precision.set_global_policy(precision)
  with strategy.scope():
    rate = schedule(
      total_steps=num_epochs * data.steps_per_epoch, steps_per_epoch=data.steps_per_epoch
    )
    trained = run_start.build(
      network, task, optimizer(learning_rate=rate), data, seed, accumulate_steps
    )
  ids = data.info.records(split).ids
  strategies.on_chief(strategy, lambda: run_start.introduce(trained, model_dir, ids, num_epochs))

  saved = checkpoints.RunCheckpoints(trained, model_dir, is_chief)
  metrics = Metrics(model_dir, write=is_chief)
  measure_memory = _memory_measurement(trained, memory_probe, data, is_chief)
  run_probe = RunProbe(
    probe, trained.network, data.data_dir, clip, metrics, is_chief, measure_memory
  )
  step = saved.restore()
  run_start.check_same_step(strategy, step, model_dir)
  metrics.drop_after(-1 if step is None else step)
  losses = loss_log.LossLog(metrics, log_every_steps, batch_size)
  around = [
    epoch_start.EpochStart(
      lambda epoch: _begin_epoch(trained, epoch, strategy), metrics, data.steps_per_epoch
    ),
    epoch_start.EpochProbe(run_probe.measure, probe_every_epochs, data.steps_per_epoch),
    losses,
    checkpointing.EpochKeeper(saved, keep_epochs, data.steps_per_epoch, losses),
    checkpointing.Checkpointer(
      saved,
      checkpoint_every_steps,
      losses,
      checkpoint_every_minutes,
      agree=lambda is_time: strategies.any_worker(strategy, is_time),
      # Workers agree by communication, as often as they write the log.
      agree_every_steps=1 if strategies.count_workers() < 2 else log_every_steps,
    ),
  ]
  if is_chief:
    draw = batch_picture.of_steps(trained.network, data, sampling, seed)
    around += [
      epoch_start.BatchPictures(draw, batch_pictures, metrics, data.steps_per_epoch),
      epoch_bar.Progress(data.steps_per_epoch, num_epochs, batch_size),
    ]
  around.append(loss_log.StopPoint(losses))
  try:
    if step is None:
      initialization.begin(
        trained,
        strategy,
        data,
        ids,
        init_from,
        init_epoch,
        init_parts,
        init_memory,
        fill_memory,
        measure=lambda: run_probe.measure(0),
        seed=seed,
      )
      saved.save(0)
    elif is_chief:
      run_start.tell_of_resuming(saved, step, num_epochs, data.steps_per_epoch, keep_epochs)
    with fitting.saved_at_a_stop(trained, saved):
      fitting.fit(
        trained, lambda first: data.batches(first, sampling, seed), data, num_epochs, around
      )
  except NonFiniteError as error:
    raise NonFiniteError(fitting.advice(error, model_dir)) from error
  run_probe.measure(checkpoints.steps_done(trained))
  # Saved again: the operative configuration now includes components that only a probe uses.
  strategies.on_chief(strategy, lambda: run_folder.save_configuration(model_dir))
  return Result(trained, metrics.probes)


def _check_choices(**choices: tuple[str, Sequence[str]]) -> None:
  for name, (value, known) in choices.items():
    if value not in known:
      raise UserError(f"{name} is {value!r}; expected one of {', '.join(known)}.")


def _check_counts(**counts: int) -> None:
  for name, value in counts.items():
    if value < 1:
      raise UserError(f"{name} is {value}; expected 1 or more.")


def _check_intervals(every_steps: Optional[int], every_minutes: Optional[float]) -> None:
  if every_steps is not None:
    _check_counts(checkpoint_every_steps=every_steps)
  if every_minutes is not None and not every_minutes > 0:
    raise UserError(f"checkpoint_every_minutes is {every_minutes}; expected more than 0, or None.")
  if every_steps is None and every_minutes is None:
    raise UserError(
      "checkpoint_every_steps and checkpoint_every_minutes are None: a run that is killed would "
      "start again. Set one of them."
    )


def _begin_epoch(
  trained: Task, epoch: int, strategy: tf.distribute.Strategy
) -> dict[str, Union[float, np.ndarray]]:
  with bar_when_called("Mining positive sets", "video", shown=strategies.is_chief()) as show:
    return trained.begin_epoch(epoch, strategy, progress=show)


def _memory_measurement(
  trained: Task, memory_probe: Optional[MemoryProbe], data: TrainingData, is_chief: bool
) -> Optional[Callable[[], dict[str, float]]]:
  """A function that evaluates the memory banks of a task's objective; None without banks."""
  objective = trained.objective
  if memory_probe is None or objective is None:
    return None
  records = data.info.records(data.split)

  def measure() -> dict[str, float]:
    return memory_probe(
      objective.video_bank.rows.numpy(),
      objective.audio_bank.rows.numpy(),
      records.labels,
      records.sound_replaced,
      progress=is_chief and on_terminal(),
    )

  return measure
