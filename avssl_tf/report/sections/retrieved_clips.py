"""A gallery of cross-modal retrieval: audio to video and video to audio."""

from typing import Optional

import numpy as np

from avssl_tf import keys
from avssl_tf.report import clip_media, gallery, page
from avssl_tf.report.clip_embeddings import ClipEmbeddings
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Retrieval"
_QUERIES = 4  # Per modality.
_TOP = 5


def section(run: ReportedRun) -> Optional[page.Section]:
  """Some queries of each modality, with their nearest neighbours in the other modality."""
  if run.generates or run.is_spherical:
    return None
  if run.is_supervised:
    return page.Section(_TITLE, left_out="not applicable: supervised run.")
  if run.info is None:
    return page.Section(_TITLE, left_out=run.why_no_records)
  missing = [modality for modality in keys.MODALITIES if modality not in run.info.modalities]
  if missing:
    return page.Section(_TITLE, left_out=f"the records have no {missing[0]}.")
  found = run.embeddings
  count = len(found)
  queries = (np.arange(2 * _QUERIES) * count // (2 * _QUERIES)).tolist()
  rows = [
    _row(run, found, query, keys.AUDIO if i % 2 == 0 else keys.VIDEO)
    for i, query in enumerate(dict.fromkeys(queries))
  ]
  explanation = (
    f"Left: a query; right: its {_TOP} nearest neighbours in the other modality, among {count} "
    f"clips of {run.shown_split}, with the cosine similarity of the embeddings. Green border: the "
    "clip of the query. "
  )
  if (found.labels >= 0).any():
    explanation += "Green line: same class as the query; red line: another class."
  else:
    explanation += "The classes of the clips are not known."
  return page.Section(_TITLE, gallery.html(rows, explanation))


def nearest(queries: np.ndarray, others: np.ndarray, query: int, count: int) -> np.ndarray:
  """Rows of `others` most similar to row `query` of `queries`, best first: int `[count]`.

  Args:
    queries: float `[N, E]`, unit length.
    others: float `[N, E]`, unit length.
    query: row of the query.
    count: number of neighbours.
  """
  return np.argsort(-(others @ queries[query]), kind="stable")[:count]


def _row(run: ReportedRun, found: ClipEmbeddings, query: int, modality: str) -> gallery.Row:
  other = keys.VIDEO if modality == keys.AUDIO else keys.AUDIO
  queries, others = found.embeddings[modality], found.embeddings[other]

  def media(clip: int) -> clip_media.ClipMedia:
    return clip_media.load(run.reader(run.shown_split), int(found.indices[clip]))

  cards = []
  for rank, answer in enumerate(nearest(queries, others, query, _TOP).tolist(), 1):
    line = f"{rank}.  cosine {queries[query] @ others[answer]:.2f}"
    cards.append(gallery.card(media(answer), [line], _mark(found.labels, query, answer), other))
  return gallery.Row(cards, gallery.card(media(query), ["query"], modality=modality))


def _mark(labels: np.ndarray, query: int, answer: int) -> str:
  if query == answer:
    return gallery.OWN
  if labels[query] < 0 or labels[answer] < 0:
    return ""
  return gallery.RIGHT if labels[query] == labels[answer] else gallery.WRONG
