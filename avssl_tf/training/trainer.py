"""One training run, from a data set to a checkpoint, its curves and its probe."""

import dataclasses
import os
from typing import Any, Callable, Dict, Optional

import gin
import tensorflow as tf
from absl import logging

from avssl_tf import types
from avssl_tf.data import dataset_info, pipeline
from avssl_tf.evaluation import probe as probe_lib
from avssl_tf.models import av_model
from avssl_tf.training import callbacks, statistics, strategies

CHECKPOINTS = "checkpoints"


@dataclasses.dataclass
class Result:
  """What a run ended with.

  Attributes:
    model: the trained network.
    clip: what of a record the network sees.
    info: the data set it was trained on.
    probes: by the name of a column ("untrained", "trained"), the probe's results.
  """

  model: av_model.AudioVisualModel
  clip: pipeline.ClipSpec
  info: dataset_info.DatasetInfo
  probes: Dict[str, Dict[str, float]]


@gin.configurable
def train(
  model_dir: str,
  strategy: tf.distribute.Strategy,
  save_configuration: Callable[[], None],
  data_dir: str = gin.REQUIRED,
  network: Callable[..., av_model.AudioVisualModel] = gin.REQUIRED,
  task: Callable[..., tf.keras.Model] = gin.REQUIRED,
  optimizer: Callable[..., Any] = gin.REQUIRED,
  schedule: Callable[..., Any] = gin.REQUIRED,
  clip: pipeline.ClipSpec = gin.REQUIRED,
  augmentation: Optional[pipeline.Augmentation] = None,
  probe: Optional[probe_lib.Probe] = None,
  probe_every_epochs: int = 0,
  split: str = "train",
  batch_size: int = 32,
  num_epochs: int = 1,
  clips_per_video: int = 1,
  sampling: str = "independent",
  precision: str = "float32",
  fill_memory: bool = True,
  checkpoint_every_steps: int = 500,
  log_every_steps: int = 50,
  seed: int = 0,
) -> Result:
  """Trains, or goes on with, the run in `model_dir`.

  Everything random follows from `seed` and the number of a step, so that a run
  that was killed and started again ends where an uninterrupted one does.

  Args:
    model_dir: folder of the run.
    strategy: from `strategies.create`.
    save_configuration: called once everything is built; saves the
      configuration that was used.
    data_dir: folder of the records.
    network: makes the audio-visual network.
    task: makes the Keras model that trains it; called with `network`,
      `num_videos`, `num_classes` and `seed`.
    optimizer: makes the optimiser; called with a learning-rate schedule.
    schedule: makes the schedule; called with `total_steps`, `steps_per_epoch`.
    clip: what of a record the network sees.
    augmentation: of training clips.
    probe: measures the frozen network; None: no probe.
    probe_every_epochs: probe also every n epochs; 0: at the start and end only.
    split: records to train on.
    batch_size: clips per step, over all replicas of all machines.
    num_epochs: epochs in all.
    clips_per_video: clips drawn from each video in an epoch, on average.
    sampling: see `pipeline.training_dataset`.
    precision: Keras policy: float32, mixed_bfloat16 or mixed_float16.
    fill_memory: embed every video once into the task's memory before step 0.
    checkpoint_every_steps: steps between checkpoints.
    log_every_steps: steps that one line of the log averages.
    seed: of everything random.

  Returns:
    The trained network and its probes.

  Raises:
    ValueError: settings and data do not fit each other.
    callbacks.NonFiniteError: the loss or a weight became NaN or infinite.
  """
  info = dataset_info.DatasetInfo.load(data_dir)
  num_videos = info.num_clips(split)
  replicas = strategy.num_replicas_in_sync
  if batch_size % replicas:
    raise ValueError(f"batch_size={batch_size} cannot be shared evenly by {replicas} replicas.")
  steps_per_epoch = num_videos * clips_per_video // batch_size
  if steps_per_epoch < 1:
    raise ValueError(
      f"Split {split!r} of {data_dir} has {num_videos} videos: too few for one batch of "
      f"{batch_size} an epoch. Lower batch_size or raise clips_per_video."
    )
  tf.keras.utils.set_random_seed(seed)
  tf.keras.mixed_precision.set_global_policy(precision)

  def dataset_from(first_step: int, sampling: str, seed: int):
    def worker_dataset(context: tf.distribute.InputContext):
      per_worker = batch_size // context.num_input_pipelines
      data = pipeline.training_dataset(
        data_dir,
        split,
        clip,
        augmentation,
        batch_size=per_worker,
        seed=seed,
        first_step=first_step,
        sampling=sampling,
        num_workers=context.num_input_pipelines,
        worker=context.input_pipeline_id,
      )
      return data.rebatch(batch_size // replicas) if per_worker > batch_size // replicas else data

    return strategy.distribute_datasets_from_function(worker_dataset)

  with strategy.scope():
    model = network()
    statistics.apply(model.audio_front_end, info, data_dir, split, clip)
    model(zero_batch(clip, info.sample_rate_hz, info.num_channels))
    trained = task(
      network=model, num_videos=num_videos, num_classes=len(info.label_names), seed=seed
    )
    trained(zero_batch(clip, info.sample_rate_hz, info.num_channels))
    rate = schedule(total_steps=num_epochs * steps_per_epoch, steps_per_epoch=steps_per_epoch)
    trained.compile(optimizer=optimizer(learning_rate=rate))
    if hasattr(trained.optimizer, "build"):
      trained.optimizer.build(trained.trainable_variables)
  print(variable_table(trained))
  manager = _manager(trained, model_dir)
  manager.checkpoint.restore(manager.latest_checkpoint)
  save_configuration()

  log = callbacks.MetricsLog(model_dir, log_every_steps, batch_size, strategies.is_chief())
  probes = _Probes(probe, model, data_dir, clip, log, model_dir)
  step = int(trained.optimizer.iterations)
  if step:
    logging.info("Going on at step %d of %s.", step, manager.latest_checkpoint)
  else:
    probes.measure(0)
    if fill_memory:
      _fill_memory(trained, strategy, dataset_from, -(-num_videos // batch_size), seed)
  around = [
    log,
    callbacks.Checkpointer(manager, checkpoint_every_steps),
    callbacks.PeriodicProbe(probes.measure, probe_every_epochs, num_epochs),
  ]
  _fit(trained, dataset_from, step, steps_per_epoch, num_epochs, sampling, seed, around)
  probes.measure(num_epochs * steps_per_epoch)
  save_configuration()
  return Result(model, clip, info, probes.columns())


def _fit(trained, dataset_from, step, steps_per_epoch, num_epochs, sampling, seed, around) -> None:
  """Runs Keras `fit` from `step` to the end of the last epoch."""
  epoch, done = divmod(step, steps_per_epoch)
  # An epoch that was cut off is finished first: Keras starts epochs at batch 0.
  legs = [(epoch, epoch + 1, steps_per_epoch - done), (epoch + 1, num_epochs, steps_per_epoch)]
  if not done:
    legs = [(epoch, num_epochs, steps_per_epoch)]
  for first, end, steps in legs:
    if first < end:
      trained.fit(
        dataset_from(int(trained.optimizer.iterations), sampling, seed),
        initial_epoch=first,
        epochs=end,
        steps_per_epoch=steps,
        callbacks=around,
        verbose=1 if strategies.is_chief() else 0,
      )


def _fill_memory(trained, strategy, dataset_from, num_steps: int, seed: int) -> None:
  """Embeds every video once into the memory of the task, if it has one."""
  if not hasattr(trained, "fill_step"):
    return

  @tf.function
  def fill(batch):
    strategy.run(trained.fill_step, args=(batch,))

  # One pass over all records in a random order, by a seed of its own.
  batches = iter(dataset_from(0, "shuffle", seed + 1))
  progress = tf.keras.utils.Progbar(num_steps, verbose=1 if strategies.is_chief() else 0)
  print("Filling the memory banks:")
  for number in range(num_steps):
    fill(next(batches))
    progress.update(number + 1)


class _Probes:
  """Runs the probe and keeps its results in the run's log."""

  def __init__(self, probe, model, data_dir, clip, log, model_dir):
    self._probe = probe
    self._model = model
    self._data_dir = data_dir
    self._clip = clip
    self._log = log
    self._path = os.path.join(model_dir, callbacks.METRICS_FILE)

  def measure(self, step: int) -> None:
    """Probes the network as it is after `step` steps, once."""
    if self._probe is None or step in self._by_step():
      return
    result = self._probe(self._model, self._data_dir, self._clip)
    self._log.log(step, result)
    print(f"\nProbe after {step} steps:\n{probe_lib.table({'%': result})}")

  def columns(self) -> Dict[str, Dict[str, float]]:
    """The first and the last results."""
    by_step = self._by_step()
    if not by_step:
      return {}
    last = max(by_step)
    return {("untrained" if step == 0 else "trained"): by_step[step] for step in sorted({0, last})
            if step in by_step}

  def _by_step(self) -> Dict[int, Dict[str, float]]:
    return {
      line["step"]: {k: v for k, v in line.items() if k.startswith("probe/")}
      for line in callbacks.read_metrics(self._path)
      if any(k.startswith("probe/") for k in line)
    }


def zero_batch(clip: pipeline.ClipSpec, sample_rate_hz: int, num_channels: int) -> types.Batch:
  """Two black and silent clips, which give a network its variables."""
  samples = round(clip.audio_sec * sample_rate_hz)
  size = clip.frame_size
  return {
    types.VIDEO: tf.zeros([2, clip.num_frames, size, size, 3], tf.uint8),
    types.AUDIO: tf.zeros([2, samples, num_channels]),
  }


def checkpoint_of(task: tf.keras.Model) -> tf.train.Checkpoint:
  """The objects of a run that are saved."""
  return tf.train.Checkpoint(task=task, optimizer=task.optimizer)


def _manager(task: tf.keras.Model, model_dir: str) -> tf.train.CheckpointManager:
  folder = os.path.join(model_dir, CHECKPOINTS)
  if not strategies.is_chief():
    # Every worker takes part in saving; only the chief's files are kept.
    folder = os.path.join(folder, f"worker-{os.getpid()}")
  return tf.train.CheckpointManager(checkpoint_of(task), folder, max_to_keep=2)


def variable_table(model: tf.keras.Model) -> str:
  """Variables of `model`: name, shape, size; then the sums."""
  rows = [(v.name, tuple(v.shape), v.trainable) for v in model.variables]
  width = max(len(name) for name, _, _ in rows)
  lines = [f"{'variable':{width}}  {'shape':>20}"]
  lines += [
    f"{name:{width}}  {str(shape):>20}{'' if trainable else '  (not trained)'}"
    for name, shape, trainable in rows
  ]
  count = sum(v.shape.num_elements() for v in model.trainable_variables)
  others = sum(v.shape.num_elements() for v in model.non_trainable_variables)
  return "\n".join(lines + [f"{count:,} trained numbers, {others:,} others."])
