"""Sound-source localisation in frames."""

import dataclasses
from typing import Optional

import gin
from markupsafe import Markup

from avssl_tf import keys
from avssl_tf.report import inline_media, page
from avssl_tf.report.drawings import localization_picture
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training.configurations import configuration

_TITLE = "Localisation"
_SETTINGS = "gin/evaluate/localization.gin"
_CLIPS = 8
_COLUMNS = 2


def section(run: ReportedRun) -> Optional[page.Section]:
  """Heat maps over frames, with the boxes of the sound sources if known."""
  if run.is_spherical or run.is_supervised:
    return None
  if run.info is None:
    return page.Section(_TITLE, left_out=run.why_no_records)
  missing = [modality for modality in keys.MODALITIES if modality not in run.info.modalities]
  if missing:
    return page.Section(_TITLE, left_out=f"the records have no {missing[0]}.")
  with configuration.present_kept():
    configuration.parse([_SETTINGS])
    settings = gin.get_bindings("evaluate")["protocol"]
  settings = dataclasses.replace(settings, split=run.shown_split, batch_size=_CLIPS)
  clips = settings.examples(run.encoder, run.data_dir, _CLIPS, known_alone=False)
  explanation = (
    f"{len(clips)} clips of {run.shown_split}: a frame, the similarity of each position to the "
    f"audio, and the {settings.positive_share:.0%} of positions with the highest similarity. "
  )
  if any(clip.ciou is not None for clip in clips):
    found = sum(clip.is_found for clip in clips)
    explanation += (
      f"Boxes are the true sources; {found} of {len(clips)} are localised (IoU of at least 0.5). "
      "`evaluate --task=localization` evaluates all clips, with trivial baselines and an oracle."
    )
  else:
    explanation += "The true positions of the sources are not known."
  picture = inline_media.drawing(localization_picture.draw(clips, _COLUMNS))
  html = Markup('<p class="explanation">{}</p><img class="wide" src="{}" alt="{}">')
  return page.Section(_TITLE, html.format(explanation, picture, _TITLE))
