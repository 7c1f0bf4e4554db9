"""Sound source localisation by the similarity of the audio to every position of the frames."""

import dataclasses
import os
from collections.abc import Sequence
from typing import ClassVar, Optional

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.evaluation import output_folder
from avssl_tf.evaluation.clip_journal import ClipJournal
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.evaluation.localization import (
  box_annotations,
  localization_baselines,
  localization_metrics,
  localization_truth,
)
from avssl_tf.evaluation.localization.box_annotations import BoxTruth
from avssl_tf.evaluation.localization.localization_truth import Truths
from avssl_tf.evaluation.localization.localized_clip import LocalizedClip
from avssl_tf.evaluation.protocol import Protocol
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.sound_localizer import SoundLocalizer
from avssl_tf.progress import Bar

TRAINED, OTHER_SOUND = "trained", "other sound"
# Values stored for each clip and method.
MEASURED = ("visible", "ciou", "confidence")
ALL_FRAMES, MIDDLE_FRAME = "all", "middle"


@gin.register
@dataclasses.dataclass(frozen=True)
class Localization(Protocol):
  """Evaluates sound source localisation and compares it with baselines.

  Each clip is evaluated with its own audio and, if the batch has a clip of another or unknown
  class, with the audio of the next such clip, whose source is not visible. Clips without ground
  truth are skipped.

  The parts of the results are the network, `"trained"`; its map for the other audio compared with
  the ground truth of the own audio, `"other sound"`, which shows how far the network localises
  objects independent of the audio; and `localization_baselines`. `clips.csv` lists single clips.

  Metrics of clips with their own audio, in 0..1: `ap50`, the fraction with a consensus IoU of 0.5
  or more; `auc`, the area under this fraction over the threshold; `mean_ciou`. Metrics over both
  kinds of audio: `max_f1` and `loc_ap`, detection of audio with a visible source.

  Attributes:
    split: split, subset or slice to evaluate.
    batch_size: clips per forward pass.
    windows: see `SoundLocalizer`.
    mirrors: see `SoundLocalizer`.
    map_size: height and width to which maps are resized before the comparison.
    positive_share: fraction of a map that is positive; see `localization_metrics.positives`.
    positive_level: instead of a fraction, the threshold of a map scaled to 0..1.
    annotations: file or folder with boxes, see `box_annotations.read`; None uses the boxes in the
      records.
    annotation_format: one of `box_annotations.FORMATS`.
    test_list: file with the names of annotated clips to evaluate, see `box_annotations.read_names`;
      None evaluates all.
    whole_picture: see `ClipSpec.whole_picture`; required by `annotations`.
    truth_frames: boxes of the records to use. `"all"`: those of all input frames; the ground truth
      of a pixel is the fraction of frames in which a box contains it. `"middle"`: the middle frame.

  Source:
    Senocak, Oh, Kim, Yang, Kweon, "Learning to Localize Sound Source in Visual Scenes", CVPR 2018;
    Mo, Morgado, "Localizing Visual Sounds the Easy Way", ECCV 2022; Mo, Morgado, "A Closer Look
    at Weakly-Supervised Audio-Visual Source Localization", NeurIPS 2022 (`max_f1`, `loc_ap`).
  """

  split: str = "test"
  batch_size: int = 32
  windows: Optional[int] = None
  mirrors: Sequence[str] = ()
  map_size: int = 224
  positive_share: Optional[float] = 0.5
  positive_level: Optional[float] = None
  annotations: Optional[str] = None
  annotation_format: str = box_annotations.VGGSS
  test_list: Optional[str] = None
  whole_picture: bool = False
  truth_frames: str = ALL_FRAMES

  compares_parts: ClassVar[bool] = True

  def __post_init__(self):
    frozen_features.check_counts(self, "batch_size", "map_size")
    localization_metrics.check_rule(self.positive_share, self.positive_level)
    if self.truth_frames not in (ALL_FRAMES, MIDDLE_FRAME):
      raise UserError(
        f"Localization.truth_frames is {self.truth_frames!r}; expected {ALL_FRAMES!r} or "
        f"{MIDDLE_FRAME!r}."
      )
    if self.annotations is not None and not self.whole_picture:
      raise UserError(
        "Localization.annotations refer to whole frames, but the network would only process their "
        "centre: set Localization.whole_picture = True."
      )
    if self.test_list is not None and self.annotations is None:
      raise UserError(
        "Localization.test_list requires annotations: set Localization.annotations."
      )

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Evaluates all clips of the split, unless `results` contains them.

    Args:
      encoder: the frozen network.
      data_dir: folder of the records.
      results: receives the metrics.
      work_dir: folder for intermediate results, used to resume an interrupted evaluation.
      progress: whether to show progress bars.

    Raises:
      MissingFileError: there is no data set, or some of its files are missing.
      UserError: the records do not fit the network, or there is no ground truth.
    """
    parts = (TRAINED, OTHER_SOUND, *localization_baselines.NAMES)
    if all(results.get(part) is not None for part in parts):
      return
    info = DatasetInfo.load(data_dir)
    truths = self._truths()
    journal = ClipJournal(
      work_dir, results.settings, 2 * len(parts) * self.batch_size, MEASURED
    )
    localizer = SoundLocalizer(encoder, self.windows, self.mirrors)
    done = journal.num_blocks * self.batch_size
    dataset = self._dataset(encoder, data_dir)
    title, total = f"localising in {self.split}", info.num_clips(self.split)
    with Bar(title, total, "clip", done=done, shown=progress, stays=True) as bar:
      for batch in dataset.skip(journal.num_blocks):
        journal.add(self._measure(localizer, batch, truths, done))
        done += len(batch[keys.KEY])
        bar.update(len(batch[keys.KEY]))
    folder = os.path.dirname(os.path.abspath(results.path))
    rows = journal.copy_to(os.path.join(folder, output_folder.CLIPS))
    for part in parts:
      of_part = [values for method, values in rows if method == part and values]
      visible = [values["visible"] > 0 for values in of_part]
      if not any(visible):
        raise UserError(
          f"There is no ground truth of sound sources in the split {self.split!r} of {data_dir!r}: "
          + truths.why_unknown()
        )
      ious, confidences = ([values[name] for values in of_part] for name in MEASURED[1:])
      results.put(part, localization_metrics.summarize(ious, confidences, visible))
    # Deleted last, so that an evaluation stopped earlier can resume.
    journal.delete()

  def examples(
    self,
    encoder: Encoder,
    data_dir: str,
    count: int,
    known_alone: bool = True,
    progress: bool = False,
  ) -> list[LocalizedClip]:
    """Localises sound sources in example clips of the split.

    Args:
      encoder: the frozen network.
      data_dir: folder of the records.
      count: maximum number of clips.
      known_alone: whether to return the first clips with ground truth. Otherwise returns a
        representative sample of the split, as selected by `evaluation_dataset`.
      progress: whether to show a progress bar.

    Returns:
      The clips with their maps.
    """
    localizer, truths = SoundLocalizer(encoder, self.windows, self.mirrors), self._truths()
    found: list[LocalizedClip] = []
    with Bar("localising", count, "clip", shown=progress) as bar:
      for batch in self._dataset(encoder, data_dir, None if known_alone else count):
        maps = localizer.maps(batch[keys.VIDEO], batch[keys.AUDIO]).numpy()
        for number, values in enumerate(maps):
          truth = truths.of(batch, number)
          if truth is not None and not truth.map(self.map_size, self.map_size).any():
            truth = None
          if truth is None and known_alone:
            continue
          if len(found) == count:
            return found
          found.append(self._example(batch, number, values, truth))
          bar.update()
    return found

  def _dataset(
    self, encoder: Encoder, data_dir: str, max_records: Optional[int] = None
  ) -> tf.data.Dataset:
    info = DatasetInfo.load(data_dir)
    missing = [modality for modality in keys.MODALITIES if modality not in info.modalities]
    if info.projection is not None or missing:
      lacks = f"contain no {missing[0]}" if missing else "are of 360° video"
      raise UserError(
        f"The records in {data_dir!r} {lacks}; localisation requires ordinary clips with video and "
        "audio: pass such records with --data_dir."
      )
    return datasets.evaluation_dataset(
      data_dir, self.split, self._clip(encoder), self.batch_size, max_records=max_records
    )

  def _clip(self, encoder: Encoder) -> ClipSpec:
    boxes = self.annotations is None
    return dataclasses.replace(
      encoder.clip, viewpoints=None, whole_picture=self.whole_picture, boxes=boxes
    )

  def _truths(self) -> Truths:
    return Truths.read(
      self.annotations, self.annotation_format, self.test_list, self.truth_frames == MIDDLE_FRAME
    )

  def _measure(
    self,
    localizer: SoundLocalizer,
    batch: keys.Batch,
    truths: Truths,
    done: int,
  ) -> list[dict]:
    """Rows for the clips of a batch, the same number for each; without ground truth, empty."""
    places = localizer.places(batch[keys.VIDEO])
    sounds = localizer.sounds(batch[keys.AUDIO], batch[keys.VIDEO])
    others = localization_baselines.other_sounds(batch[keys.LABEL].numpy())
    own = localizer.similarity(places, sounds).numpy()
    foreign = localizer.similarity(places, tf.gather(sounds, np.maximum(others, 0))).numpy()
    rows = []
    for number in range(len(own)):
      truth = truths.of(batch, number)
      rng = np.random.default_rng(done + number)
      nowhere = np.zeros([self.map_size, self.map_size], np.float32)
      target = nowhere if truth is None else truth.map(*nowhere.shape)
      has_other = others[number] >= 0
      for goal, values, other in (
        (target, own[number], foreign[number] if has_other else None),
        (nowhere, foreign[number] if has_other else None, None),
      ):
        for method, found in self._maps(goal, values, other, own.shape[1:], rng).items():
          row = {"id": localization_truth.key_of(batch, number), "window": 0, "method": method}
          known = truth is not None and found is not None
          rows.append({**row, **(self._score(found, goal) if known else {})})
    return rows

  def _maps(
    self,
    truth: np.ndarray,
    values: Optional[np.ndarray],
    other: Optional[np.ndarray],
    size: tuple[int, int],
    rng: np.random.Generator,
  ) -> dict[str, Optional[np.ndarray]]:
    """The maps of all parts, with the size of the ground truth; None without audio."""
    maps = {
      name: None if found is None else localization_metrics.enlarge(found, *truth.shape)
      for name, found in ((TRAINED, values), (OTHER_SOUND, other))
    }
    baselines = localization_baselines.maps(truth, size, rng)
    return {**maps, **(dict.fromkeys(baselines) if values is None else baselines)}

  def _score(self, values: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    visible = bool(truth.any())
    positive = localization_metrics.positives(values, self.positive_share, self.positive_level)
    return {
      "visible": int(visible),
      "ciou": localization_metrics.consensus_iou(positive, truth) if visible else 0.0,
      "confidence": localization_metrics.confidence(values),
    }

  def _example(
    self, batch: keys.Batch, number: int, values: np.ndarray, truth: Optional[BoxTruth]
  ) -> LocalizedClip:
    frames = batch[keys.VIDEO][number].numpy()
    enlarged = localization_metrics.enlarge(values, self.map_size, self.map_size)
    positive = localization_metrics.positives(enlarged, self.positive_share, self.positive_level)
    boxes = np.zeros([0, 4], np.float32) if truth is None else truth.boxes
    if self.annotations is None and self.truth_frames == ALL_FRAMES:  # Box of the displayed frame.
      boxes = boxes[len(boxes) // 2 :][:1]
    return LocalizedClip(
      name=localization_truth.key_of(batch, number),
      frame=frames[len(frames) // 2],
      heat=localization_metrics.normalize(enlarged),
      positive=positive,
      boxes=boxes,
      ciou=None if truth is None else localization_metrics.consensus_iou(
        positive, truth.map(self.map_size, self.map_size)
      ),
    )
