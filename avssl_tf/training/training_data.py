"""Training clips, in batches for the replicas of a distribution strategy."""

import os
from typing import Optional

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import clip_kinds, datasets, draws
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.records import dataset_info, source_videos
from avssl_tf.errors import UserError


class TrainingData:
  """A split of a data set as an infinite stream of training batches.

  Attributes:
    data_dir: folder of the records.
    split: split, or slice of a split.
    clip: the part of a record that the network receives.
    info: description of the data set.
    sample_rate_hz: sample rate of the network's input audio.
    num_videos: number of records in the split, which is the number of rows of the memory banks.
    steps_per_epoch: number of steps per epoch.
    batch_size: clips per step, over all replicas of all machines.
  """

  def __init__(
    self,
    data_dir: str,
    split: str,
    clip: ClipSpec,
    augmentation: Optional[Augmentation],
    batch_size: int,
    clips_per_video: int,
    strategy: tf.distribute.Strategy,
    sampling: str = "independent",
  ):
    """Reads the description of the data set.

    Args:
      data_dir: folder of the records.
      split: split, or slice of a split.
      clip: the part of a record that the network receives.
      augmentation: augmentation of the clips; None disables it.
      batch_size: clips per step, over all replicas of all machines.
      clips_per_video: clips per record and epoch; per source video if `sampling` draws source
        videos.
      strategy: distribution strategy.
      sampling: see `datasets.training_dataset`.

    Raises:
      MissingFileError: there is no data set in `data_dir`.
      UserError: the data set lacks video or audio, has no such split, or the split is too small for
        a batch; or `batch_size` or `clips_per_video` is invalid.
    """
    self.data_dir = os.fspath(data_dir)
    self.split = split
    self.clip = clip
    self.batch_size = batch_size
    self.info = dataset_info.DatasetInfo.load(self.data_dir)
    missing = [name for name in keys.MODALITIES if name not in self.info.modalities]
    if missing:
      raise UserError(
        f"The records in {self.data_dir!r} have no {missing[0]}, but training requires video and "
        "audio: build a data set of videos with audio, or use this one only for evaluation."
      )
    self.num_videos = self.info.num_clips(split)
    self.sample_rate_hz = clip.output_rate_hz(self.info.sample_rate_hz)
    self._augmentation = augmentation
    self._strategy = strategy
    replicas = strategy.num_replicas_in_sync
    if batch_size < 1 or batch_size % replicas:
      raise UserError(
        f"batch_size is {batch_size}; expected a positive multiple of the {replicas} replica(s) "
        "that share it."
      )
    if batch_size > self.num_videos:
      raise UserError(
        f"batch_size is {batch_size}, but split {split!r} of {self.data_dir!r} has only "
        f"{self.num_videos} clips: lower batch_size."
      )
    if clips_per_video < 1:
      raise UserError(f"clips_per_video is {clips_per_video}; expected 1 or more.")
    num_drawn = self.num_videos
    if sampling == draws.VIDEO_SAMPLING:
      videos = source_videos.of_split(self.info, split)
      source_videos.check_batch(videos, split, batch_size)
      num_drawn = videos.num_videos
    self.steps_per_epoch = num_drawn * clips_per_video // batch_size

  def batches(self, first_step: int, sampling: str, seed: int):
    """The stream of batches from step `first_step` on; see `datasets.training_dataset`.

    Returns:
      A data set distributed over the replicas; a `tf.data.Dataset` for the default strategy.
    """
    per_replica = self.batch_size // self._strategy.num_replicas_in_sync

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
      per_worker = self.batch_size // context.num_input_pipelines
      dataset = datasets.training_dataset(
        self.data_dir,
        self.split,
        self.clip,
        self._augmentation,
        batch_size=per_worker,
        seed=seed,
        first_step=first_step,
        sampling=sampling,
        num_workers=context.num_input_pipelines,
        worker=context.input_pipeline_id,
      )
      if per_worker == per_replica:
        return dataset
      # The replicas of this worker take the parts of a batch in turn.
      return dataset.rebatch(per_replica, drop_remainder=True)

    return self._strategy.distribute_datasets_from_function(of_worker)

  def first_clips(self, step: int, sampling: str, seed: int, max_clips: int) -> keys.Batch:
    """The first clips of the training batch of a step, over all replicas.

    The clips are read separately: the training stream is not advanced.

    Args:
      step: number of the step.
      sampling: see `batches`.
      seed: see `batches`.
      max_clips: maximum number of clips; the largest divisor of `batch_size` up to it is used.
    """
    # A batch of this size starts at the same position in the stream as the training batch.
    count = max(n for n in range(1, max_clips + 1) if self.batch_size % n == 0)
    dataset = datasets.training_dataset(
      self.data_dir,
      self.split,
      self.clip,
      self._augmentation,
      batch_size=count,
      seed=seed,
      first_step=step * self.batch_size // count,
      sampling=sampling,
      group_size=self.batch_size,
    )
    return next(iter(dataset.take(1)))

  def zero_batch(self) -> keys.Batch:
    """Two black, silent clips, to build the variables of a network."""
    return clip_kinds.kind_of(self.clip).zero_batch(self.sample_rate_hz, self.info.num_channels)
