"""Sample weights of Robust xID."""

from typing import Optional

import numpy as np
import tensorflow as tf
from markupsafe import Markup

from avssl_tf.losses import robust_xid
from avssl_tf.report import charts, clip_media, gallery, page
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Weights"
_PAIRS = 12


def section(run: ReportedRun) -> Optional[page.Section]:
  """A histogram of the weights of all training videos, and the pairs with the lowest weights."""
  if run.method != "RobustXID":
    return None
  if run.settings.get("RobustXID.min_weight") == 1.0:
    return page.Section(_TITLE, left_out="RobustXID.min_weight is 1: all weights are 1.")
  cosines = np.einsum("nd,nd->n", run.state("video_bank/rows"), run.state("audio_bank/rows"))
  weights = robust_xid.sample_weights(
    tf.constant(cosines, tf.float32),
    float(np.mean(cosines)),
    float(np.std(cosines)),
    *(run.settings[f"RobustXID.{name}"] for name in ("min_weight", "delta", "kappa")),
  ).numpy()
  clips = run.row_clips() if run.info is not None else None
  groups = {"videos": weights}
  if clips is not None:
    groups = _groups(run, weights, np.array(clips))
  parts = [charts.histogram("Weights of the training videos", groups, "weight")]
  if clips is not None:
    parts.append(_gallery(run, weights, cosines, clips))
  return page.Section(_TITLE, Markup("").join(parts))


def _groups(run: ReportedRun, weights: np.ndarray, clips: np.ndarray) -> dict[str, np.ndarray]:
  """Weights of true and of faulty pairs, if these are known."""
  replaced = run.info.records(run.train_split).sound_replaced
  if replaced is None or not replaced.any():
    return {"videos": weights}
  weights, clips = weights[clips >= 0], clips[clips >= 0]
  return {
    "own audio": weights[~replaced[clips]],
    "audio of another clip": weights[replaced[clips]],
  }


def _gallery(run: ReportedRun, weights: np.ndarray, cosines: np.ndarray, clips: list[int]) -> str:
  reader = run.reader(run.train_split)
  replaced = run.info.records(run.train_split).sound_replaced
  known = replaced is not None and replaced.any()
  cards = []
  for row in np.argsort(weights, kind="stable").tolist():
    if len(cards) == _PAIRS:
      break
    if clips[row] < 0:
      continue
    lines = [f"weight {weights[row]:.2f}", f"cosine {cosines[row]:.2f}"]
    mark = ""
    if known:
      faulty = bool(replaced[clips[row]])
      lines.append("audio of another clip" if faulty else "own audio")
      mark = gallery.RIGHT if faulty else gallery.WRONG
    cards.append(gallery.card(clip_media.load(reader, clips[row]), lines, mark))
  explanation = (
    f"The {_PAIRS} pairs of video and audio with the lowest weights, computed from the current "
    "memory banks."
  )
  if known:
    explanation += " Green: faulty pair; red: true pair."
  return gallery.html([gallery.Row(cards)], explanation)
