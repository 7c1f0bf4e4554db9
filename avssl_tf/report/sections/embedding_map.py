"""A two-dimensional map of the embeddings."""

from typing import Optional

import numpy as np
from sklearn.manifold import TSNE

from avssl_tf import keys
from avssl_tf.report import charts, page
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Map of embeddings"
_MAX_CLIPS = 400
_SYMBOLS = {keys.VIDEO: "circle", keys.AUDIO: "x"}
_MIN_POINTS = 10


def section(run: ReportedRun) -> Optional[page.Section]:
  """Video and audio embeddings in two dimensions, by t-SNE."""
  if run.generates:
    return None
  if run.info is None:
    return page.Section(_TITLE, left_out=run.why_no_records)
  if run.is_supervised:
    return page.Section(_TITLE, left_out="not applicable: supervised run.")
  found = run.embeddings
  chosen = np.arange(min(len(found), _MAX_CLIPS)) * len(found) // min(len(found), _MAX_CLIPS)
  texts, groups, symbols = [], [], []
  for modality in found.embeddings:
    for i in chosen:
      name = found.label_texts[i] if found.label_texts else ""
      texts.append([*([name] if name else []), found.ids[i], modality])
      groups.append(name or modality)
      symbols.append(_SYMBOLS[modality])
  points = np.concatenate([rows[chosen] for rows in found.embeddings.values()])
  if len(points) < _MIN_POINTS:
    return page.Section(_TITLE, left_out=f"there are only {len(points)} embeddings.")
  perplexity = min(30.0, len(points) / 4)
  plane = TSNE(perplexity=perplexity, metric="cosine", init="pca", random_state=0)
  title = (
    f"t-SNE of {len(chosen)} clips of {run.shown_split} by cosine distance; circles: video, "
    "crosses: audio"
  )
  return page.Section(
    _TITLE, charts.points(title, plane.fit_transform(points), groups, texts, symbols)
  )
