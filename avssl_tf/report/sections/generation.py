"""Sound fields that the network generates, to look at and to listen to."""

from typing import Optional

from markupsafe import Markup

from avssl_tf.report import generation_examples, generation_picture, inline_media, page
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Generated sound fields"
_CLIPS = 4
_MOMENTS = 3


def section(run: ReportedRun) -> Optional[page.Section]:
  """Energy maps of some clips, true and generated, and a viewer that turns."""
  if not run.generates:
    return None
  if run.info is None:
    return page.Section(_TITLE, left_out=f"the records ({run.data_dir}) are not there.")
  examples = generation_examples.fields(run.generator, run.data_dir, run.shown_split, _CLIPS)
  clips = [generation_examples.moments(example, _MOMENTS) for example in examples]
  explanation = (
    f"{len(clips)} clips of {run.shown_split}, moments side by side: the frame, brighter where "
    "sound comes from in truth, and below as the network generates it of the mono sound. Circles "
    "are the true directions of what sounds."
  )
  picture = inline_media.drawing(generation_picture.draw(clips))
  html = Markup('<p class="explanation">{}</p><img class="wide" src="{}" alt="{}">')
  return page.Section(_TITLE, html.format(explanation, picture, _TITLE))
