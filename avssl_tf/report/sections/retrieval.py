"""A gallery of what the network takes for the picture of a sound, and the other way round."""

from typing import Optional

import numpy as np

from avssl_tf import types
from avssl_tf.evaluation.features import Features
from avssl_tf.report import clip_media, gallery, page
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Retrieval"
_QUERIES = 4  # of each modality
_TOP = 5


def section(run: ReportedRun) -> Optional[page.Section]:
  """Some queries of each modality, with what is nearest to them in the other."""
  if run.generates or run.is_spherical:
    return None
  if run.task == "Classification":
    return page.Section(_TITLE, left_out="embeddings were not trained, classes were.")
  if run.info is None:
    return page.Section(_TITLE, left_out=f"the records ({run.data_dir}) are not there.")
  missing = [modality for modality in types.MODALITIES if modality not in run.info.modalities]
  if missing:
    return page.Section(_TITLE, left_out=f"the records hold no {missing[0]}.")
  features = run.features
  count = len(features)
  queries = (np.arange(2 * _QUERIES) * count // (2 * _QUERIES)).tolist()
  rows = [
    _row(run, features, query, types.AUDIO if i % 2 == 0 else types.VIDEO)
    for i, query in enumerate(dict.fromkeys(queries))
  ]
  explanation = (
    f"Left a query, right the {_TOP} clips of the other modality that are nearest among the first "
    f"{count} of {run.shown_split}; the number is the cosine of the embeddings. The frame in green "
    "is the query's own clip. "
  )
  if (features.labels >= 0).any():
    explanation += "A green line is a clip of the same class, a red one of another."
  else:
    explanation += "There are no labels, so that nothing tells which of the others are right."
  return page.Section(_TITLE, gallery.html(rows, explanation))


def nearest(queries: np.ndarray, others: np.ndarray, query: int, count: int) -> np.ndarray:
  """Rows of `others` that are most similar to row `query` of `queries`, best first: int `[count]`.

  Args:
    queries: float `[N, E]`, unit rows.
    others: float `[N, E]`, unit rows.
    query: a row.
    count: how many.
  """
  return np.argsort(-(others @ queries[query]), kind="stable")[:count]


def _row(run: ReportedRun, features: Features, query: int, modality: str) -> gallery.Row:
  other = types.VIDEO if modality == types.AUDIO else types.AUDIO
  embeddings = {
    types.VIDEO: features.video_embeddings,
    types.AUDIO: features.audio_embeddings,
  }
  reader = run.reader(run.shown_split)
  cards = []
  for rank, found in enumerate(
    nearest(embeddings[modality], embeddings[other], query, _TOP).tolist(), 1
  ):
    cosine = float(embeddings[modality][query] @ embeddings[other][found])
    media = clip_media.load(reader, found)
    mark = _mark(features.labels, query, found)
    cards.append(gallery.card(media, [f"{rank}.  cosine {cosine:.2f}"], mark, other))
  query_card = gallery.card(clip_media.load(reader, query), ["query"], modality=modality)
  return gallery.Row(cards, query_card)


def _mark(labels: np.ndarray, query: int, found: int) -> str:
  if query == found:
    return gallery.OWN
  if labels[query] < 0 or labels[found] < 0:
    return ""
  return gallery.RIGHT if labels[query] == labels[found] else gallery.WRONG
