"""The data of a run for its report: configuration, log, records and network."""

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

# Maximum number of embedded clips, or of views of 360° clips.
_MAX_CLIPS = 1000
_VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
_OBJECTIVE = "task/objective/"


class ReportedRun:
  """The data of a run; expensive properties are computed on first use and cached.

  Attributes:
    model_dir: folder of the run.
    name: last component of the folder's path.
    configuration: text of the operative configuration.
    settings: values by the name of the setting, such as `"train.batch_size"`.
    metrics: lines of the log, each with `"step"`.
    probes: probe results by step, in order.
  """

  def __init__(self, model_dir: str, trained: Optional[Trained] = None):
    """Reads the configuration and the log.

    Args:
      model_dir: folder of the run.
      trained: the network of the run, if it is in memory; None: it is loaded on first use.

    Raises:
      configuration.ConfigurationError: `model_dir` contains no run that this version supports.
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
    # A probe may use separate records.
    self._probed_dir = (probe and probe.data_dir) or self._data_dir
    # The configurations of converted checkpoints set no task.
    self._task: type[Task] = bound.get("task", Task)
    self._given = trained

  @property
  def task(self) -> str:
    """Class name of the task, such as `"InstanceDiscrimination"`."""
    return self._reference("train.task")

  @property
  def method(self) -> str:
    """Class name of the objective, such as `"CMA"`, or of the task if it has no objective."""
    return self._reference(f"{self.task}.objective") or self.task

  @property
  def generates(self) -> bool:
    """Whether the network generates sound fields; otherwise it embeds video and audio."""
    return self._task.generates

  @property
  def is_supervised(self) -> bool:
    """Whether the network was trained with labels, without training embeddings."""
    return self._task.uses_labels

  @property
  def is_spherical(self) -> bool:
    """Whether the network was trained on 360° clips."""
    return self.generates or self.aligns_views

  @property
  def aligns_views(self) -> bool:
    """Whether the network was trained to align the views of 360° clips with their audio."""
    return self._task.aligns_views

  @functools.cached_property
  def step(self) -> Optional[int]:
    """Step of the latest intact checkpoint; None without a checkpoint."""
    if checkpoints.latest(self.model_dir) is None:
      return None
    return int(checkpoints.latest_of(self.model_dir).rpartition("-")[2])

  @functools.cached_property
  def results(self) -> dict[str, dict[str, dict[str, float]]]:
    """Results of `avssl_tf.evaluate`: metrics by task, part and name."""
    found = {}
    pattern = os.path.join(glob.escape(self.model_dir), "evaluation", "*", "results.json")
    for path in sorted(glob.glob(pattern)):
      found[os.path.basename(os.path.dirname(path))] = results.read(path)[1]
    return found

  @functools.cached_property
  def info(self) -> Optional[DatasetInfo]:
    """Description of the training records; None if they do not exist."""
    try:
      return DatasetInfo.load(self.data_dir) if self.data_dir else None
    except FileNotFoundError:
      return None

  @property
  def why_no_records(self) -> str:
    """Explanation if `info` is None."""
    return f"the records ({self.data_dir}) do not exist."

  @property
  def data_dir(self) -> Optional[str]:
    """Folder of the training records, as in the configuration."""
    return self._data_dir

  @property
  def train_split(self) -> str:
    """The training split, or slice of a split."""
    return self._split

  @property
  def shown_split(self) -> str:
    """Split of the examples: the split of the probe if it exists, otherwise the first split."""
    split = self.info.test_split(self._test_split)
    known = {*self.info.splits, *self.info.subsets}
    is_there = split is not None and split.partition("[")[0] in known
    return split if is_there else sorted(self.info.splits)[0]

  @property
  def probed(self) -> str:
    """Split and folder of the probe's records, as text."""
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
    """Encoder of a network that embeds video and audio."""
    return self._trained.encoder

  @property
  def generator(self) -> Generator:
    """Generator of a network that generates sound fields."""
    return self._trained.generator

  @functools.cached_property
  def embeddings(self) -> ClipEmbeddings:
    """Embeddings of clips that are evenly spaced over `shown_split`."""
    progress = on_terminal()
    return clip_embeddings.collect(
      self.encoder, self.data_dir, self.shown_split, _MAX_CLIPS, progress=progress
    )

  @functools.cache  # noqa: B019 - A run is only in memory while its report is written.
  def reader(self, split: str) -> RecordReader:
    """Reader of the clips of a split."""
    return RecordReader(self.data_dir, split)

  def state(self, name: str) -> Optional[np.ndarray]:
    """Value of a variable of the objective, such as `"video_bank/rows"`; None if there is none."""
    path = checkpoints.latest_of(self.model_dir, checkpoints.TASK)
    reader = checkpoint_files.load(path)
    key = f"{_OBJECTIVE}{name}/{_VALUE}"
    return reader.get_tensor(key) if reader.has_tensor(key) else None

  def row_clips(self) -> Optional[list[int]]:
    """Index in `train_split` of the clip of each memory-bank row; -1: not in the split.

    None if the run has no list of the videos of its rows.
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
