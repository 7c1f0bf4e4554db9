"""Retrieval across modalities: which sound goes with which video?"""

import dataclasses
from collections.abc import Sequence

import gin
import numpy as np
from absl import logging

from avssl_tf import keys
from avssl_tf.data.records.dataset_info import DatasetInfo, sample_positions
from avssl_tf.errors import UserError
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.evaluation.protocol import Protocol
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.features import Features

_BLOCK_SIZE = 1024
# Products of the same two unit vectors differ by about 1e-7 with their place in a matrix product
# (its kernels add in different orders); what is closer than this counts as equal.
_TIE_TOLERANCE = 1e-6


@gin.register
@dataclasses.dataclass(frozen=True)
class Retrieval(Protocol):
  """Finds the sound that belongs to a picture, and the picture that belongs to a sound.

  Measured are `retrieval_audio_to_video_r{k}` (the query is a sound, the gallery holds
  videos), `retrieval_video_to_audio_r{k}`, and their mean, `retrieval_r{k}`.

  Attributes:
    split: split, subset or slice that is searched.
    windows_per_clip: evenly spaced windows of a clip whose embeddings are averaged.
    batch_size: windows that go through the network at a time.
    gallery_size: clips that are searched, which represent all of the split (see
      `dataset_info.sample_positions`); all, where it has fewer.
    ks: for each k, how often the right clip is among the k nearest.
  """

  split: str = "test"
  windows_per_clip: int = 1
  batch_size: int = 64
  gallery_size: int = 1000
  ks: Sequence[int] = (1, 5, 10)

  def __post_init__(self):
    frozen_features.check_counts(self, "windows_per_clip", "batch_size", "gallery_size")
    if not self.ks or min(self.ks) < 1:
      raise UserError(f"Retrieval.ks is {self.ks}; expected numbers of 1 or more.")

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Measures the split, unless `results` has it.

    Args:
      encoder: the frozen network.
      data_dir: folder of the records.
      results: where the metrics go, under the name of the split.
      work_dir: not used: embeddings stay in memory.
      progress: whether to show a progress bar.

    Raises:
      MissingFileError: there is no data set, or files of it are missing.
      UserError: the split is empty, the records lack a modality, or do not go together with
        the network.
    """
    del work_dir
    info = DatasetInfo.load(data_dir)
    modalities = frozen_features.check_modalities(keys.MODALITIES, encoder, info, data_dir)
    count = info.num_clips(self.split)
    if not count:
      raise UserError(f"Split {self.split!r} of {data_dir!r} is empty: there is nothing to find.")
    if results.get(self.split) is None:
      features = frozen_features.SplitFeatures(
        encoder, data_dir, info, modalities, self.windows_per_clip, self.batch_size, progress
      )
      found = features.extract(self.split, self.gallery_size)
      results.put(self.split, self.scores(found, self.split, info.is_shuffled))

  def scores(self, test: Features, split: str, is_shuffled: bool) -> dict[str, float]:
    """Recalls over `gallery_size` clips of `split`, or views of clips.

    Args:
      test: features of clips of the split, in the order of its records.
      split: its name, for messages.
      is_shuffled: whether the records are in a random order.
    """
    if len(test) < self.gallery_size:
      logging.info(
        "Retrieval searches all %d clips of split %r: there are fewer than %d.",
        len(test),
        split,
        self.gallery_size,
      )
    gallery = test.rows(sample_positions(len(test), self.gallery_size, is_shuffled))
    recalls = cross_modal(gallery.video_embeddings, gallery.audio_embeddings, self.ks)
    return {f"retrieval_{name}": value for name, value in recalls.items()}


def recall_at_k(
  queries: np.ndarray, gallery: np.ndarray, ks: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
  """Share of queries whose own row is among the k rows of the gallery that are most similar.

  The counterpart of query i is row i of the gallery. Where other rows tie with
  it, the expectation over all orders of the tied rows is taken, so that
  embeddings that have collapsed to one point score k / N, which is chance.

  Args:
    queries: float [N, E], unit rows.
    gallery: float [N, E], unit rows.
    ks: how many rows are looked at.

  Returns:
    Recall in 0..1 for each k.

  Raises:
    UserError: the arrays differ in shape or are empty, or hold values that are not finite.
  """
  queries = np.asarray(queries, np.float32)
  gallery = np.asarray(gallery, np.float32)
  if queries.shape != gallery.shape or queries.ndim != 2 or len(queries) == 0:
    raise UserError(
      f"Retrieval pairs row i with row i: got queries {queries.shape} and a gallery "
      f"{gallery.shape}, expected the same [N, E] with N > 0."
    )
  if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
    raise UserError("Retrieval got embeddings that are not finite.")
  total = {k: 0.0 for k in ks}
  for start in range(0, len(queries), _BLOCK_SIZE):
    similarity = queries[start : start + _BLOCK_SIZE] @ gallery.T
    rows = np.arange(len(similarity))
    difference = similarity - similarity[rows, start + rows][:, None]
    above = np.sum(difference > _TIE_TOLERANCE, axis=1)
    tied = np.sum(np.abs(difference) <= _TIE_TOLERANCE, axis=1)  # the counterpart is one of them
    for k in ks:
      total[k] += np.clip((k - above) / tied, 0, 1).sum()
  return {k: float(value / len(queries)) for k, value in total.items()}


def cross_modal(
  video_embeddings: np.ndarray,
  audio_embeddings: np.ndarray,
  ks: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
  """Retrieval in both directions.

  Args:
    video_embeddings: float [N, E], unit rows.
    audio_embeddings: float [N, E], unit rows; row i belongs to the clip of video row i.
    ks: how many rows are looked at.

  Returns:
    `audio_to_video_r{k}` (the query is a sound, the gallery holds videos),
    `video_to_audio_r{k}`, and `r{k}`, the mean of both.
  """
  audio_to_video = recall_at_k(audio_embeddings, video_embeddings, ks)
  video_to_audio = recall_at_k(video_embeddings, audio_embeddings, ks)
  result = {}
  for k in ks:
    result[f"audio_to_video_r{k}"] = audio_to_video[k]
    result[f"video_to_audio_r{k}"] = video_to_audio[k]
    result[f"r{k}"] = (audio_to_video[k] + video_to_audio[k]) / 2
  return result
