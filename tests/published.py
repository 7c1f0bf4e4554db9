"""Compares published settings with those that gin files compose; reads the table of differences.

Numbers of the authors' configurations are in `tests/testdata/published_settings.json`, constants of
their code and of the papers in `published_parts.json` next to it.
`docs/published_differences.json` lists the differences with their reasons. Pages of the
documentation show its rows where they contain a line such as `<!-- differences: avid cma -->`, with
first words of entries or `all`.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

import gin

from avssl_tf.training.configurations import configuration
from avssl_tf.training.configurations.settings import Settings
from tests import published_readers as readers
from tests import source_tree

TABLE = source_tree.ROOT / "docs" / "published_differences.json"
PAGES = source_tree.ROOT / "docs" / "methods"
ALL = "*"
# Names of entries.
STAGE1 = (
  "avsa/stage1 (one viewpoint, contrast of clips, one linear head a modality, no transformer)"
)
STAGE2 = "avsa/stage2 (starts from the backbones alone of stage 1 at epoch 50)"
ONE_RUN = "avsa/both stages in one run"


# What is evaluated.
_AVID = ("gin/avid.gin", "gin/scale/kinetics400.gin")
_AVSA = ("gin/avsa.gin", "gin/scale/yt360_stage2.gin")


@dataclasses.dataclass(frozen=True)
class Entry:
  """Which files compose what an entry of the published settings is about.

  Attributes:
    reader: reads the configuration, or those of the run and of the evaluation.
    run: gin files of the run.
    evaluation: gin files of the evaluation, if it is one.
    params: bindings of the command line that the file names for this.
  """

  reader: Callable[..., Mapping[str, Any]]
  run: Sequence[str]
  evaluation: Sequence[str] = ()
  params: Sequence[str] = ()


def _run(reader, method: str, scale: str) -> Entry:
  return Entry(reader, (f"gin/{method}.gin", f"gin/scale/{scale}.gin"))


def _evaluation(
  reader, task: str, scale: str, *params: str, run: Sequence[str] = _AVID
) -> Entry:
  files = (f"gin/evaluate/{task}.gin", f"gin/evaluate/scale/{scale}.gin")
  return Entry(reader, run, files, params)


def _benchmarks() -> dict[str, list[Entry]]:
  """AVC-Bin and AVSA-Bin, from one view and from four, with translation and without."""
  found = {}
  for task, name in (("avc", "AVCBin"), ("avsa", "AVSABin")):
    for translated in (False, True):
      # Without translation, AVSA-Bin is measured on ten windows of a test clip.
      ten = task == "avsa" and not translated
      params = ("AVSABin.test_windows_per_clip=10",) if ten else ()
      for views in (1, 4):
        reader = readers.binary_alignment(name, views, translated)
        key = f"avsa_benchmark/{task}-{'' if translated else 'no'}transf-{views}crop"
        found[key] = [
          _evaluation(reader, f"{task}_bin", f"yt360_{task}_bin", *params, run=_AVSA)
        ]
  return found


_LONG = ("num_frames=32", "batch_size=32")
_SVM = tuple(f"AudioSVM.{name}" for name in ("num_windows", "c", "num_folds", "sizes", "speed"))
_PLACES = tuple(
  f"Localization.{name}"
  for name in (
    "map_size", "positive_share", "whole_picture", "mirrors", "windows", "annotation_format",
  )  # fmt: skip
)
_FIELDS = tuple(
  f"SpatialAudioEvaluation.{name}" for name in ("windows_per_clip", "split", "train_split")
)
# By the name of an entry of the published settings; several where several files are about it.
ENTRIES: Mapping[str, Sequence[Entry]] = {
  "avid/kinetics": [_run(readers.avid, "avid", "kinetics400")],
  "avid/audioset": [_run(readers.avid, "avid", "audioset")],
  "avid/ablations (AudioSet, 100k videos)": [_run(readers.avid, "avid", "small")],
  "cma/kinetics": [_run(readers.cma, "avid_cma", "kinetics400_cma")],
  "cma/audioset": [_run(readers.cma, "avid_cma", "audioset_cma")],
  "robust_xid/kinetics": [_run(readers.robust_xid, "robust_xid", "kinetics400_xid")],
  "robust_xid/audioset": [_run(readers.robust_xid, "robust_xid", "audioset_xid")],
  STAGE1: [_run(readers.avsa_stage1, "avc", "yt360_stage1")],
  STAGE2: [_run(readers.avsa_stage2, "avsa", "yt360_stage2")],
  ONE_RUN: [_run(readers.avsa_in_one_run, "avsa", "yt360")],
  "spatial_audio": [
    _run(readers.spatial_audio, "spatial_audio", name)
    for name in ("rec_street", "yt_clean", "yt_music", "yt_all")
  ],
  "spatial_audio/evaluation": [
    _evaluation(readers.named(*_FIELDS), "spatial_audio", "spatial_audio")
  ],
  "ucf101/8x224": [_evaluation(readers.finetune, "finetune", "ucf101")],
  "ucf101/32x224": [
    _evaluation(readers.finetune, "finetune", "ucf101", *_LONG, "clips_per_video=5")
  ],
  "hmdb51/8x224": [_evaluation(readers.finetune, "finetune", "hmdb51")],
  "hmdb51/32x224": [
    _evaluation(readers.finetune, "finetune", "hmdb51", *_LONG, "clips_per_video=10")
  ],
  "avsa_ucf101/8x112": [_evaluation(readers.finetune, "finetune", "avsa_ucf101", run=_AVSA)],
  "avsa_hmdb51/8x112": [_evaluation(readers.finetune, "finetune", "avsa_hmdb51", run=_AVSA)],
  "segmentation (visual)": [
    _evaluation(readers.segmentation("visual"), "segmentation", "yt360", run=_AVSA)
  ],
  "segmentation (audio, context)": [
    _evaluation(readers.segmentation("context"), "segmentation", "yt360", run=_AVSA)
  ],
  **_benchmarks(),
  "kinetics_linear": [
    _evaluation(readers.kinetics_linear, "kinetics_linear", "kinetics_linear")
  ],
  "esc50": [_evaluation(readers.named(*_SVM), "audio_svm", "esc50")],
  "dcase": [_evaluation(readers.named(*_SVM), "audio_svm", "dcase")],
  "vggss": [_evaluation(readers.named(*_PLACES), "localization", "vggss")],
  "flickr_soundnet": [_evaluation(readers.named(*_PLACES), "localization", "flickr_soundnet")],
}


def published() -> dict[str, dict[str, Any]]:
  """Published values by entry and name, those of nested ones as `"model.dropout"`."""
  folder = source_tree.ROOT / "tests" / "testdata"
  found: dict[str, dict[str, Any]] = {}
  for name in ("published_settings.json", "published_parts.json"):
    for entry, values in json.loads((folder / name).read_text(encoding="utf-8")).items():
      for key, value in _flat(values):
        if found.setdefault(entry, {}).setdefault(key, value) != value:
          raise ValueError(f"{name} contradicts the other file: {entry}, {key}.")
  return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
  pairs = []
  for key, value in values.items():
    nested = isinstance(value, dict) and not key.startswith(("AudioSVM.", "Localization."))
    pairs += _flat(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", value)]
  return pairs


def composed(entry: Entry) -> tuple[Settings, Optional[Settings]]:
  """The configurations of a run and of an evaluation, as the commands read them."""
  configuration.parse(entry.run, () if entry.evaluation else entry.params)
  run = Settings.parse(gin.config_str())
  if not entry.evaluation:
    return run, None
  configuration.parse(entry.evaluation, entry.params)
  return run, Settings.parse(gin.config_str())


def values(entry: Entry, run: Settings, evaluation: Optional[Settings]) -> dict[str, Any]:
  """What an entry's configurations set, by the published names."""
  both = [run] if evaluation is None else [run, evaluation]
  return dict(entry.reader(*map(readers.Composed, both)))


def table() -> list[dict[str, Any]]:
  """The intended differences: `entries`, `key`, `published`, `here` and `reason`."""
  return json.loads(TABLE.read_text(encoding="utf-8"))


def problems(
  name: str,
  wanted: Mapping[str, Any],
  found: Optional[Mapping[str, Any]],
  rows: Sequence[Mapping[str, Any]],
) -> list[str]:
  """What is wrong with an entry: each value has to be as published, or in the table as it is.

  Args:
    name: of the entry.
    wanted: its published values.
    found: those that the gin files set; None where no file is about it.
    rows: of the table.
  """
  mine = {row["key"]: row for row in rows if name in row["entries"]}
  if found is None:
    listed = mine[ALL]["published"].get(name) if ALL in mine else None
    if listed == digest(wanted):
      return []
    return [
      f"{name}: no gin file is compared; the table must state this with {digest(wanted)!r} for "
      f"these published values, and has {listed!r}."
    ]
  faults = []
  for key, value in wanted.items():
    row = mine.pop(key, None)
    if row is None:
      if key not in found:
        faults.append(f"{name}: {key} is not compared, and the table does not say why.")
      elif not same(found[key], value):
        faults.append(f"{name}: {key} is {found[key]!r}; published: {value!r}.")
      continue
    here = found.get(key)
    if same(here, value) and key in found:
      faults.append(f"{name}: {key} is as published; the table says that it is not.")
    elif not same(row["published"], value) or not same(row["here"], here):
      faults.append(
        f"{name}: {key} is {here!r}, published {value!r}; the table has {row['here']!r} and "
        f"{row['published']!r}."
      )
  return faults + [f"{name}: the table has {key}, which is not among the settings." for key in mine]


def digest(wanted: Mapping[str, Any]) -> str:
  """A short hash of published values that are not compared yet: it changes when they change."""
  return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:12]


def same(one: Any, other: Any) -> bool:
  """Whether two values are equal, lists and tuples alike, numbers but for rounding."""
  if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
    return len(one) == len(other) and all(map(same, one, other))
  if isinstance(one, Mapping) and isinstance(other, Mapping):
    return set(one) == set(other) and all(same(one[key], other[key]) for key in one)
  if isinstance(one, bool) or isinstance(other, bool):
    return one is other
  if isinstance(one, (int, float)) and isinstance(other, (int, float)):
    return abs(one - other) <= 1e-9 * max(abs(one), abs(other))
  return one == other


def shown(page: pathlib.Path) -> set[str]:
  """First words of the entries whose differences a page of the documentation shows; or `all`."""
  found = re.findall(r"^<!-- differences: ([\w ]+) -->$", page.read_text("utf-8"), re.MULTILINE)
  return {word for words in found for word in words.split()}
