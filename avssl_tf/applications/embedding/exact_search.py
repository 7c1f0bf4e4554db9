"""Exact search of embeddings, block by block: the memory does not depend on their number."""

from collections.abc import Iterator, Sequence
from typing import Optional

import numpy as np

from avssl_tf.applications.embedding.opened_embeddings import Embeddings
from avssl_tf.applications.embedding.search_results import Result, ranked
from avssl_tf.errors import UserError

_PLACES = ("id", "start_sec", "end_sec")


def embedded_rows(
  embeddings: Embeddings, modality: str, names: Sequence[str] = ()
) -> Iterator[dict[str, np.ndarray]]:
  """Reads the windows with embeddings of one modality in blocks, in order.

  Args:
    embeddings: the embedding file.
    modality: `VIDEO` or `AUDIO`.
    names: further arrays to read.

  Yields:
    `"embeddings"`, float32 `[n, E]`; `"row"`, int64 `[n]`, rows in the file; and the arrays of
    `names`. Blocks may be empty.

  Raises:
    UserError: the file is damaged, or an embedding is not finite.
  """
  has, values = f"has_{modality}", f"{modality}_embeddings"
  start = 0
  for block in embeddings.blocks([has, values, *names]):
    chosen = block[has]
    found = block[values][chosen]
    if not np.isfinite(found).all():
      raise UserError(
        f"{embeddings.path} contains {modality} embeddings that are not finite, in rows {start} to "
        f"{start + len(chosen) - 1}. Embed the files again."
      )
    rows = {"embeddings": found, "row": start + np.flatnonzero(chosen)}
    yield {**rows, **{name: block[name][chosen] for name in names}}
    start += len(chosen)


class ExactSearch:
  """Compares a query with all embeddings of a file.

  Attributes:
    about: provenance of the embeddings.
  """

  def __init__(self, embeddings: Embeddings):
    self.about = embeddings.about
    self._embeddings = embeddings

  def has(self, modality: str) -> bool:
    """Whether any window has the modality."""
    name = f"has_{modality}"
    return any(block[name].any() for block in self._embeddings.blocks([name]))

  def nearest(
    self, query: np.ndarray, modality: str, top: int, all_windows: bool = False
  ) -> list[Result]:
    """Finds the windows nearest to a query.

    Args:
      query: float32 `[E]`, unit length.
      modality: modality of the windows, `VIDEO` or `AUDIO`.
      top: number of results.
      all_windows: whether to rank all windows instead of the best one of each file.

    Returns:
      At most `top` results, the nearest first; ties are in the order of the file.
    """
    best: Optional[dict[str, np.ndarray]] = None
    for block in embedded_rows(self._embeddings, modality, _PLACES):
      found = {name: block[name] for name in _PLACES}
      found["similarity"] = np.clip(block["embeddings"] @ query, -1.0, 1.0)
      if best is not None:
        if len(best["id"]) == top:  # Most rows are farther than all results so far.
          nearer = found["similarity"] > best["similarity"][-1]
          found = {name: array[nearer] for name, array in found.items()}
        found = {name: np.concatenate([best[name], array]) for name, array in found.items()}
      # Earlier rows are first, and stay first among equal similarities.
      order = np.argsort(-found["similarity"], kind="stable")
      if not all_windows:
        _, firsts = np.unique(found["id"][order], return_index=True)
        order = order[np.sort(firsts)]
      best = {name: array[order[:top]] for name, array in found.items()}
    return ranked(best["similarity"], best["id"], best["start_sec"], best["end_sec"])
