"""Viewpoint retrieval: matches the views of a 360° clip with the audio of its viewpoints."""

import dataclasses

import gin
import numpy as np

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation.alignment import view_features
from avssl_tf.evaluation.alignment.view_features import ViewFeatures
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.evaluation.protocol import Protocol
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.keys import AUDIO, VIDEO

# Smaller differences count as ties: the order of summation alone causes them.
_TIE_TOLERANCE = 1e-6


@gin.register
@dataclasses.dataclass(frozen=True)
class ViewpointRetrieval(Protocol):
  """Retrieves, among the K viewpoints of a clip, the audio of a view and the view of an audio.

  Metrics: `viewpoint_retrieval_video_to_audio` (the query is a view, translated into audio),
  `viewpoint_retrieval_audio_to_video`, and their mean, `viewpoint_retrieval`: recall at 1, in 0..1.
  Chance is 1 / K.

  Attributes:
    split: split, subset or slice to evaluate.
    windows_per_clip: windows of a clip, each with separate viewpoints.
    batch_size: clips per forward pass.

  Source:
    This project.
  """

  split: str = "test"
  windows_per_clip: int = 1
  batch_size: int = 16

  def __post_init__(self):
    frozen_features.check_counts(self, "windows_per_clip", "batch_size")

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Evaluates the split, unless `results` contains it.

    Args:
      encoder: the frozen network of 360° clips.
      data_dir: folder of 360° records.
      results: receives the metrics, under the name of the split.
      work_dir: not used, since features stay in memory.
      progress: whether to show a progress bar.

    Raises:
      MissingFileError: there is no data set, or some of its files are missing.
      UserError: network or records are not of 360° clips, or are incompatible.
    """
    del work_dir
    view_features.check(encoder, DatasetInfo.load(data_dir), data_dir)
    if results.get(self.split) is None:
      views = view_features.extract(
        encoder, data_dir, self.split, self.windows_per_clip, self.batch_size, progress=progress
      )
      results.put(self.split, scores(encoder, views))


def scores(encoder: Encoder, views: ViewFeatures) -> dict[str, float]:
  """The metrics of `ViewpointRetrieval`, in 0..1, by name."""
  outputs = view_features.translate(encoder, views.video, views.audio)
  video_to_audio, audio_to_video = (
    retrieve(outputs["prediction"][m], outputs["target"][m]) for m in (AUDIO, VIDEO)
  )
  return {
    "viewpoint_retrieval": (video_to_audio + audio_to_video) / 2,
    "viewpoint_retrieval_video_to_audio": video_to_audio,
    "viewpoint_retrieval_audio_to_video": audio_to_video,
  }


def retrieve(predictions: np.ndarray, targets: np.ndarray) -> float:
  """Fraction of predictions whose nearest target within their clip is their own.

  Args:
    predictions: float32 `[N, K, E]`, unit length.
    targets: float32 `[N, K, E]`, unit length.

  Returns:
    A fraction in 0..1. If n targets tie for the first place, a correct one counts 1 / n.
  """
  similarity = np.einsum("nke,nje->nkj", predictions, targets)
  own = np.diagonal(similarity, axis1=1, axis2=2)[..., np.newaxis]
  above = np.sum(similarity > own + _TIE_TOLERANCE, axis=-1)
  tied = np.sum(np.abs(similarity - own) <= _TIE_TOLERANCE, axis=-1)  # Includes the own target.
  return float(np.mean(np.where(above == 0, 1.0 / tied, 0.0)))
