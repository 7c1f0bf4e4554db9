"""Cross-modal retrieval: finding the audio of a video and the video of an audio track."""

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
# The product of two unit vectors varies by about 1e-7 with their position in a matrix product
# (kernels sum in different orders); smaller differences than this count as ties.
_TIE_TOLERANCE = 1e-6


@gin.register
@dataclasses.dataclass(frozen=True)
class Retrieval(Protocol):
  """Evaluates cross-modal retrieval by the embeddings of a frozen network.

  Metrics: `retrieval_audio_to_video_r{k}` (queries are audio, the gallery is video),
  `retrieval_video_to_audio_r{k}`, and their mean, `retrieval_r{k}`: recall at k in 0..1.

  Attributes:
    split: split, subset or slice to search.
    windows_per_clip: evenly spaced windows of a clip whose embeddings are averaged.
    batch_size: windows per forward pass.
    gallery_size: number of clips in the gallery, a representative sample of the split (see
      `dataset_info.sample_positions`); all clips if the split has fewer.
    ks: values of k of recall at k.

  Source:
    This project.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.evaluation import Retrieval
    >>> from avssl_tf.inference import Features
    >>> video = np.eye(4)
    >>> test = Features(
    ...   labels=np.zeros(4), indices=np.arange(4), keys=np.array(list("abcd"), object),
    ...   video_embeddings=video, audio_embeddings=video[[0, 1, 3, 2]],
    ... )
    >>> Retrieval(gallery_size=4, ks=(1,)).scores(test, "test", is_shuffled=True)
    {'retrieval_audio_to_video_r1': 0.5, 'retrieval_video_to_audio_r1': 0.5, 'retrieval_r1': 0.5}
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
    """Evaluates the split, unless `results` contains it.

    Args:
      encoder: the frozen network.
      data_dir: folder of the records.
      results: receives the metrics, under the name of the split.
      work_dir: not used, since embeddings stay in memory.
      progress: whether to show a progress bar.

    Raises:
      MissingFileError: there is no data set, or some of its files are missing.
      UserError: the split is empty, or the records lack a modality or do not fit the network.
    """
    del work_dir
    info = DatasetInfo.load(data_dir)
    modalities = frozen_features.check_modalities(keys.MODALITIES, encoder, info, data_dir)
    count = info.num_clips(self.split)
    if not count:
      raise UserError(f"Split {self.split!r} of {data_dir!r} is empty.")
    if results.get(self.split) is None:
      features = frozen_features.SplitFeatures(
        encoder, data_dir, info, modalities, self.windows_per_clip, self.batch_size, progress
      )
      found = features.extract(self.split, self.gallery_size)
      results.put(self.split, self.scores(found, self.split, info.is_shuffled))

  def scores(self, test: Features, split: str, is_shuffled: bool) -> dict[str, float]:
    """Recalls over `gallery_size` clips, or views of 360° clips, of a split.

    Args:
      test: features of clips of the split, in the order of its records.
      split: its name, for messages.
      is_shuffled: whether the records are in random order.

    Returns:
      Recalls in 0..1, by name.
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
  """Fraction of queries whose counterpart is among the k most similar rows of the gallery.

  The counterpart of query i is row i of the gallery. If other rows tie with it, the result is the
  expectation over all orders of the tied rows. Embeddings that have collapsed to one point
  therefore score k / N, which is chance.

  Args:
    queries: float `[N, E]`, unit length.
    gallery: float `[N, E]`, unit length.
    ks: values of k.

  Returns:
    Recall in 0..1 for each k.

  Raises:
    UserError: the arrays differ in shape, are empty or contain values that are not finite.

  Source:
    This project.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.evaluation import recall_at_k
    >>> queries = np.eye(4)
    >>> recall_at_k(queries, queries[[0, 1, 3, 2]], ks=(1, 4))
    {1: 0.5, 4: 1.0}
  """
  queries = np.asarray(queries, np.float32)
  gallery = np.asarray(gallery, np.float32)
  if queries.shape != gallery.shape or queries.ndim != 2 or len(queries) == 0:
    raise UserError(
      f"Retrieval pairs row i with row i: got queries {queries.shape} and a gallery "
      f"{gallery.shape}, expected the same shape [N, E] with N > 0."
    )
  if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
    raise UserError("Retrieval got embeddings that are not finite.")
  total = {k: 0.0 for k in ks}
  for start in range(0, len(queries), _BLOCK_SIZE):
    similarity = queries[start : start + _BLOCK_SIZE] @ gallery.T
    rows = np.arange(len(similarity))
    difference = similarity - similarity[rows, start + rows][:, None]
    above = np.sum(difference > _TIE_TOLERANCE, axis=1)
    tied = np.sum(np.abs(difference) <= _TIE_TOLERANCE, axis=1)  # Includes the counterpart.
    for k in ks:
      total[k] += np.clip((k - above) / tied, 0, 1).sum()
  return {k: float(value / len(queries)) for k, value in total.items()}


def cross_modal(
  video_embeddings: np.ndarray,
  audio_embeddings: np.ndarray,
  ks: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
  """Recall at k of retrieval in both directions.

  Args:
    video_embeddings: float `[N, E]`, unit length.
    audio_embeddings: float `[N, E]`, unit length; row i belongs to the clip of video row i.
    ks: values of k.

  Returns:
    Recalls in 0..1: `audio_to_video_r{k}` (queries are audio, the gallery is video),
    `video_to_audio_r{k}`, and `r{k}`, the mean of both.

  Raises:
    UserError: the arrays differ in shape, are empty or contain values that are not finite.

  Source:
    This project.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.evaluation import cross_modal
    >>> video = np.eye(4)
    >>> cross_modal(video, video[[0, 1, 3, 2]], ks=(1,))
    {'audio_to_video_r1': 0.5, 'video_to_audio_r1': 0.5, 'r1': 0.5}
  """
  audio_to_video = recall_at_k(audio_embeddings, video_embeddings, ks)
  video_to_audio = recall_at_k(video_embeddings, audio_embeddings, ks)
  result = {}
  for k in ks:
    result[f"audio_to_video_r{k}"] = audio_to_video[k]
    result[f"video_to_audio_r{k}"] = video_to_audio[k]
    result[f"r{k}"] = (audio_to_video[k] + video_to_audio[k]) / 2
  return result
