"""The probe of a run: evaluation, logging and summary of the results."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Callable, Optional

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation import units
from avssl_tf.evaluation.frozen.probe import Probe
from avssl_tf.models.network import Network
from avssl_tf.progress import on_terminal
from avssl_tf.training.metrics import PROBE, Metrics

# Number of clips that classifiers were trained on, if not all.
_CAP = f"{PROBE}num_train_clips"


class RunProbe:
  """Evaluates the network of a run, at most once per step, and logs the results."""

  def __init__(
    self,
    probe: Optional[Probe],
    network: Network,
    data_dir: str,
    clip: ClipSpec,
    metrics: Metrics,
    show: bool,
    measure_memory: Optional[Callable[[], Mapping[str, float]]] = None,
  ):
    """Evaluates `network` with `probe`; None disables the probe.

    If the data has no split "test", the split "validation" is used; without either, there is no
    probe. A note is printed in both cases.

    Args:
      probe: the probe.
      network: the network of the run.
      data_dir: folder of the records of the run.
      clip: the part of a record that the network receives.
      metrics: the log of the run.
      show: print results and notes.
      measure_memory: evaluates the memory banks as well; None if there are none.
    """
    self._probe = None if probe is None else _on_what_there_is(probe, data_dir, show)
    self._network = network
    self._data_dir = data_dir
    self._clip = clip
    self._metrics = metrics
    self._show = show
    self._measure_memory = measure_memory

  def measure(self, step: int) -> None:
    """Evaluates the network after `step` steps, unless the log contains the results."""
    if self._probe is None or step in self._metrics.probes:
      return
    progress = self._show and on_terminal()
    result = self._probe(self._network, self._data_dir, self._clip, progress=progress)
    if self._measure_memory is not None:
      result.update({f"{PROBE}{name}": value for name, value in self._measure_memory().items()})
    self._metrics.add(step, result)
    if self._show:
      print(f"Probe after {step} steps: {summary(result)}", flush=True)


def _on_what_there_is(probe: Probe, data_dir: str, show: bool) -> Optional[Probe]:
  """The probe on the test split of its data, or on the validation split; None without either."""
  folder = data_dir if probe.data_dir is None else os.fspath(probe.data_dir)
  info = DatasetInfo.load(folder)
  found = info.test_split(probe.test_split)
  if found == probe.test_split:
    return probe
  if show and found is not None:
    print(f"Note: {folder} has no split 'test': the probe uses {found!r}.", flush=True)
  elif show:
    name = type(probe).__name__
    print(
      f"Note: {folder} has the splits {sorted(info.splits)}, but neither 'test' nor 'validation': "
      f"the probe is disabled. To use a part of another split, set {name}.test_split.",
      flush=True,
    )
  return None if found is None else dataclasses.replace(probe, test_split=found)


def summary(result: Mapping[str, float]) -> str:
  """The main results of a probe in one line, fractions in percent.

  >>> summary({"probe/knn_video": 0.5, "probe/knn_audio": 0.25, "probe/retrieval_r5": 0.125})
  'kNN 50.0 video, 25.0 audio; retrieval R@5 12.5 (%)'
  >>> summary({"probe/viewpoint_retrieval": 0.5, "probe/avsa_bin_4": 0.75})
  'viewpoint retrieval 50.0; AVSA-Bin 4 75.0 (%)'
  >>> summary({"probe/knn_video": 0.5, "probe/num_train_clips": 20000})
  'kNN 50.0 video (%); classifiers trained on 20000 clips'
  >>> summary({"probe/one_error_db": -16.0, "probe/several_strongest_deg": 9.0})
  'error -16.0 dB (one); strongest source 9.0° (several)'
  """
  parts = []
  if "probe/viewpoint_retrieval" in result:
    parts.append(f"viewpoint retrieval {100 * result['probe/viewpoint_retrieval']:.1f}")
  for task, title in (("avsa_bin", "AVSA-Bin"), ("avc_bin", "AVC-Bin")):
    parts += [
      f"{title} {name.rpartition('_')[2]} {100 * value:.1f}"
      for name, value in result.items()
      if name.startswith(f"probe/{task}_")
    ]
  for name, title in (("linear", "linear"), ("knn", "kNN")):
    values = [(m, result.get(f"probe/{name}_{m}")) for m in ("video", "audio")]
    found = [f"{100 * value:.1f} {modality}" for modality, value in values if value is not None]
    if found:
      parts.append(f"{title} {', '.join(found)}")
  recalls = [(k, result.get(f"probe/retrieval_r{k}")) for k in (1, 5, 10)]
  found = [f"R@{k} {100 * value:.1f}" for k, value in recalls if value is not None]
  if found:
    parts.append(f"retrieval {', '.join(found)}")
  parts += [
    f"{name.removeprefix('probe/').replace('_', ' ')} {100 * result[name]:.1f}"
    for name in result
    if name.startswith(("probe/purity", "probe/faulty"))
  ]
  percent = ["; ".join(parts) + " (%)"] if parts else []
  capped = [f"classifiers trained on {result[_CAP]} clips"] if _CAP in result else []
  return "; ".join(percent + _of_fields(result) + capped)


def _of_fields(result: Mapping[str, float]) -> list[str]:
  """Results on generated sound fields, in their units."""
  parts = []
  for metric, title in (("error_db", "error"), ("strongest_deg", "strongest source")):
    unit = units.unit_of(metric)
    symbol = unit.symbol if unit.symbol == "°" else f" {unit.symbol}"
    values = [(group, result.get(f"probe/{group}_{metric}")) for group in ("one", "several")]
    found = [f"{unit.text(v)}{symbol} ({group})" for group, v in values if v is not None]
    if found:
      parts.append(f"{title} {', '.join(found)}")
  return parts
