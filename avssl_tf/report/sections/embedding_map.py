"""A map of the embeddings."""

from typing import Optional

import numpy as np
from sklearn.manifold import TSNE

from avssl_tf import types
from avssl_tf.report import charts, page
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Map of embeddings"
_MAX_CLIPS = 400
_SYMBOLS = {types.VIDEO: "circle", types.AUDIO: "x"}
_MIN_POINTS = 10


def section(run: ReportedRun) -> Optional[page.Section]:
  """Embeddings of pictures and sounds in a plane, by t-SNE."""
  if run.generates:
    return None
  if run.info is None:
    return page.Section(_TITLE, left_out=f"the records ({run.data_dir}) are not there.")
  features = run.features.rows(np.arange(min(len(run.features), _MAX_CLIPS)))
  # The pooled features of networks whose embeddings were not trained.
  kind = "features" if run.task == "Classification" else "embeddings"
  embeddings = {
    modality: getattr(features, f"{modality}_{kind}") for modality in run.info.modalities
  }
  if kind == "features":  # Of other sizes in picture and sound: nothing to compare.
    embeddings = dict(list(embeddings.items())[:1])
  texts, groups, symbols = [], [], []
  for modality in embeddings:
    for key, label in zip(features.keys, features.labels):
      name = run.label_name(label)
      texts.append(f"{name + '<br>' if name else ''}{key}<br>{modality}")
      groups.append(name or modality)
      symbols.append(_SYMBOLS[modality])
  points = np.concatenate(list(embeddings.values()))
  if len(points) < _MIN_POINTS:
    return page.Section(_TITLE, left_out=f"there are only {len(points)} embeddings.")
  perplexity = min(30.0, len(points) / 4)
  plane = TSNE(perplexity=perplexity, metric="cosine", init="pca", random_state=0)
  what = "Circles are pictures, crosses sounds" if len(embeddings) > 1 else f"Of {kind}"
  title = f"{what}, of the first {len(features)} of {run.shown_split}; t-SNE of cosines"
  return page.Section(
    _TITLE, charts.points(title, plane.fit_transform(points), groups, texts, symbols)
  )
