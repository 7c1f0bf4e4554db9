"""Retrieval across modalities: which sound goes with which video?"""

from collections.abc import Sequence

import numpy as np

_BLOCK_SIZE = 1024
# Products of the same two unit vectors differ by about 1e-7 with their place in a matrix product
# (its kernels add in different orders); what is closer than this counts as equal.
_TIE_TOLERANCE = 1e-6


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
    ValueError: the arrays differ in shape or are empty, or hold values that are not finite.
  """
  queries = np.asarray(queries, np.float32)
  gallery = np.asarray(gallery, np.float32)
  if queries.shape != gallery.shape or queries.ndim != 2 or len(queries) == 0:
    raise ValueError(
      f"Retrieval pairs row i with row i: got queries {queries.shape} and a gallery "
      f"{gallery.shape}, expected the same [N, E] with N > 0."
    )
  if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
    raise ValueError("Retrieval got embeddings that are not finite.")
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
  gallery_size: int = 1000,
  ks: Sequence[int] = (1, 5, 10),
) -> dict[str, float]:
  """Retrieval in both directions over the first `gallery_size` clips.

  Args:
    video_embeddings: float [N, E], unit rows.
    audio_embeddings: float [N, E], unit rows; row i belongs to the clip of video row i.
    gallery_size: clips that are queries and gallery; all N where there are fewer.
    ks: how many rows are looked at.

  Returns:
    `audio_to_video_r{k}` (the query is a sound, the gallery holds videos),
    `video_to_audio_r{k}`, and `r{k}`, the mean of both.
  """
  video, audio = video_embeddings[:gallery_size], audio_embeddings[:gallery_size]
  audio_to_video = recall_at_k(audio, video, ks)
  video_to_audio = recall_at_k(video, audio, ks)
  result = {}
  for k in ks:
    result[f"audio_to_video_r{k}"] = audio_to_video[k]
    result[f"video_to_audio_r{k}"] = video_to_audio[k]
    result[f"r{k}"] = (audio_to_video[k] + video_to_audio[k]) / 2
  return result
