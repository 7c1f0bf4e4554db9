"""A gallery of the positive sets mined by CMA."""

from typing import Optional

import numpy as np

from avssl_tf.report import clip_media, gallery, page
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Positive sets"
_ANCHORS = 5
_MEMBERS = 5


def section(run: ReportedRun) -> Optional[page.Section]:
  """Some anchor videos with the first members of their positive sets."""
  if run.method != "CMA":
    return None
  if run.info is None:
    return page.Section(_TITLE, left_out=run.why_no_records)
  sets, mined = run.state("positive_sets"), run.state("mined")
  if sets is None or not mined:
    return page.Section(_TITLE, left_out="none have been mined yet: the run is in its warm-up.")
  clips = run.row_clips()
  if clips is None:
    return page.Section(_TITLE, left_out="the videos of the memory-bank rows are not known.")
  video, audio = run.state("video_bank/rows"), run.state("audio_bank/rows")
  reader = run.reader(run.train_split)
  labels = run.info.records(run.train_split).labels
  known = [row for row, clip in enumerate(clips) if clip >= 0]
  rows = []
  for anchor in np.array(known)[np.arange(_ANCHORS) * len(known) // _ANCHORS].tolist():
    cards = []
    for member in sets[anchor][:_MEMBERS].tolist():
      if clips[member] < 0:
        continue
      lines = [
        f"video {video[anchor] @ video[member]:.2f}",
        f"audio {audio[anchor] @ audio[member]:.2f}",
      ]
      pair = labels[clips[anchor]], labels[clips[member]]
      mark = "" if min(pair) < 0 else gallery.RIGHT if pair[0] == pair[1] else gallery.WRONG
      cards.append(gallery.card(clip_media.load(reader, clips[member]), lines, mark))
    query = gallery.card(clip_media.load(reader, clips[anchor]), ["anchor"])
    rows.append(gallery.Row(cards, query))
  setting = run.settings.get("CMA.agreement", "consensus")
  explanation = (
    f"Left: a training video; right: the first {_MEMBERS} of the {sets.shape[1]} members of its "
    f"positive set ({setting}), as last mined. The numbers are the cosine similarities of the "
    "current rows of the memory banks."
  )
  if (labels >= 0).any():
    explanation += " Green: same class as the anchor (labels are not used in training)."
  return page.Section(_TITLE, gallery.html(rows, explanation))
