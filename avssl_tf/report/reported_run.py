"""A run as a report sees it: what its folder tells, its records and its network."""

import functools
import glob
import os
from collections.abc import Mapping
from typing import Any, Optional

import gin
import numpy as np

from avssl_tf import checkpoint_files, text_files
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.record_reader import RecordReader
from avssl_tf.evaluation import results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.generator import Generator
from avssl_tf.inference.trained import Trained
from avssl_tf.progress import on_terminal
from avssl_tf.report import clip_embeddings
from avssl_tf.report.clip_embeddings import ClipEmbeddings
from avssl_tf.tasks.task import Task
from avssl_tf.training import checkpoints, inherited_memory, loading, metrics, run_folder
from avssl_tf.training.configurations import configuration
from avssl_tf.training.configurations.settings import Reference, Settings

# Clips of the test split that are searched and drawn.
_MAX_CLIPS = 1000  # or views of 360° clips
_VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
_OBJECTIVE = "task/objective/"


class ReportedRun:
  """A run in its folder; what takes time is read when it is asked for, once.

  Attributes:
    model_dir: the folder.
    name: its last part.
    configuration: text of the operative configuration.
    settings: values by the name of the setting, such as `"train.batch_size"`.
    metrics: lines of the log, each with `"step"`.
    probes: results of the probe by step, in order.
  """

  def __init__(self, model_dir: str, trained: Optional[Trained] = None):
    """Reads the configuration and the log.

    Args:
      model_dir: the folder.
      trained: the network of the run, if it is in memory already; None loads it when it is needed.

    Raises:
      configuration.ConfigurationError: `model_dir` holds no run that this version understands.
    """
    self.model_dir = os.path.normpath(model_dir)
    self.name = os.path.basename(os.path.abspath(model_dir))
    with configuration.present_kept():
      configuration.parse_operative(model_dir)
      bound = gin.get_bindings("train")
    self.configuration = text_files.read(os.path.join(model_dir, run_folder.OPERATIVE_CONFIG))
    self.settings: Mapping[str, Any] = Settings.parse(self.configuration).resolved()
    path = os.path.join(model_dir, run_folder.METRICS)
    self.metrics = metrics.read(path)
    self.probes = metrics.probes(self.metrics)
    self._split = bound.get("split", "train")
    self._data_dir = os.fspath(bound["data_dir"]) if "data_dir" in bound else None
    probe = bound.get("probe")
    self._test_split = "test" if probe is None else probe.test_split
    # A probe may have records of its own.
    self._probed_dir = (probe and probe.data_dir) or self._data_dir
    # Folders of converted checkpoints name no task.
    self._task: type[Task] = bound.get("task", Task)
    self._given = trained

  @property
  def task(self) -> str:
    """Name of the class of what was trained, such as `"InstanceDiscrimination"`."""
    return self._reference("train.task")

  @property
  def method(self) -> str:
    """Name of the objective, or of the task where it has none, such as `"CMA"`."""
    return self._reference(f"{self.task}.objective") or self.task

  @property
  def generates(self) -> bool:
    """Whether the network makes sound fields; else it embeds pictures and sound."""
    return self._task.generates

  @property
  def is_supervised(self) -> bool:
    """Whether the network was told the classes, and learnt no embeddings."""
    return self._task.uses_labels

  @property
  def is_spherical(self) -> bool:
    """Whether the network learnt from 360° clips."""
    return self.generates or self.aligns_views

  @property
  def aligns_views(self) -> bool:
    """Whether the network learnt to compare the views of 360° clips."""
    return self._task.aligns_views

  @functools.cached_property
  def step(self) -> Optional[int]:
    """Steps after which the last checkpoint was written; None where there is none."""
    if checkpoints.latest(self.model_dir) is None:
      return None
    return int(checkpoints.latest_of(self.model_dir).rpartition("-")[2])

  @functools.cached_property
  def results(self) -> dict[str, dict[str, dict[str, float]]]:
    """What `avssl_tf.evaluate` has measured: by task and part, metrics by name."""
    found = {}
    pattern = os.path.join(glob.escape(self.model_dir), "evaluation", "*", "results.json")
    for path in sorted(glob.glob(pattern)):
      found[os.path.basename(os.path.dirname(path))] = results.read(path)[1]
    return found

  @functools.cached_property
  def info(self) -> Optional[DatasetInfo]:
    """Description of the records that the run was trained on; None where they are gone."""
    try:
      return DatasetInfo.load(self.data_dir) if self.data_dir else None
    except FileNotFoundError:
      return None

  @property
  def why_no_records(self) -> str:
    """What to tell where `info` is None."""
    return f"the records ({self.data_dir}) are not there."

  @property
  def data_dir(self) -> Optional[str]:
    """Folder of the records, as named in the run."""
    return self._data_dir

  @property
  def train_split(self) -> str:
    """The split, or slice of one, that the run learnt from."""
    return self._split

  @property
  def shown_split(self) -> str:
    """What the examples are taken from: the split that the probe measures, or else the first."""
    split = self.info.test_split(self._test_split)
    known = {*self.info.splits, *self.info.subsets}
    is_there = split is not None and split.partition("[")[0] in known
    return split if is_there else sorted(self.info.splits)[0]

  @property
  def probed(self) -> str:
    """What the probe measures, in words."""
    folder = os.fspath(self._probed_dir)
    try:
      split = DatasetInfo.load(folder).test_split(self._test_split)
    except FileNotFoundError:
      split = self._test_split
    return f"{split or self._test_split!r} of {folder}"

  @functools.cached_property
  def _trained(self) -> Trained:
    return loading.load(self.model_dir) if self._given is None else self._given

  @property
  def encoder(self) -> Encoder:
    """The network of a run that embeds pictures and sound."""
    return self._trained.encoder

  @property
  def generator(self) -> Generator:
    """The network of a run that makes sound fields."""
    return self._trained.generator

  @functools.cached_property
  def embeddings(self) -> ClipEmbeddings:
    """Of clips spread evenly over `shown_split`."""
    progress = on_terminal()
    return clip_embeddings.collect(
      self.encoder, self.data_dir, self.shown_split, _MAX_CLIPS, progress=progress
    )

  @functools.cache  # noqa: B019 - A run lives as long as the making of its report.
  def reader(self, split: str) -> RecordReader:
    """Reads the clips of a split."""
    return RecordReader(self.data_dir, split)

  def state(self, name: str) -> Optional[np.ndarray]:
    """A variable of the objective, such as `"video_bank/rows"`; None where it has none."""
    path = checkpoints.latest_of(self.model_dir, checkpoints.TASK)
    reader = checkpoint_files.load(path)
    key = f"{_OBJECTIVE}{name}/{_VALUE}"
    return reader.get_tensor(key) if reader.has_tensor(key) else None

  def row_clips(self) -> Optional[list[int]]:
    """For each row of the memory banks, the number of its clip in `train_split`, -1: not there.

    None where it is not known which video a row stands for.
    """
    ids = inherited_memory.read_video_ids(self.model_dir)
    if ids is None:
      return None
    number_of = {key: i for i, key in enumerate(self.info.records(self.train_split).ids)}
    return [number_of.get(key, -1) for key in ids]

  def _reference(self, setting: str) -> str:
    value = self.settings.get(setting)
    if not isinstance(value, Reference):
      return ""
    return repr(value).removeprefix("@").removesuffix("()").rpartition(".")[2].rpartition("/")[2]
