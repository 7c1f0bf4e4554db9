"""Views of 360° clips and their most similar audio."""

from typing import Optional

import numpy as np
from markupsafe import Markup

from avssl_tf.report import alignment_examples, inline_media, page
from avssl_tf.report.drawings import alignment_picture
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Viewpoints and matches"
_CLIPS = 4


def section(run: ReportedRun) -> Optional[page.Section]:
  """The figure of `tools/draw_alignment.py`."""
  if not run.aligns_views:
    return None
  if run.info is None:
    return page.Section(_TITLE, left_out=run.why_no_records)
  clips = alignment_examples.clips(run.encoder, run.data_dir, run.shown_split, _CLIPS)
  right = sum(int((clip.matches == np.arange(len(clip.matches))).sum()) for clip in clips)
  total = sum(len(clip.matches) for clip in clips)
  explanation = (
    f"{len(clips)} clips of {run.shown_split}: the frame with the sound energy and the outlines of "
    "the views (circles: sounding objects, crosses: silent objects); each view with the number of "
    "its most similar audio; the similarity matrix of views and audio. "
    f"{right} of {total} views are matched with their own audio."
  )
  picture = inline_media.drawing(alignment_picture.draw(clips))
  html = Markup('<p class="explanation">{}</p><img class="wide" src="{}" alt="{}">')
  return page.Section(_TITLE, html.format(explanation, picture, _TITLE))
