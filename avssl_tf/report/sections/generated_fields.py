"""Generated sound fields: energy maps and a viewer with audio."""

from typing import Optional

import numpy as np
from markupsafe import Markup

from avssl_tf.report import generation_examples, inline_media, page, panorama_viewer
from avssl_tf.report.drawings import generation_picture
from avssl_tf.report.generation_examples import FieldExample
from avssl_tf.report.reported_run import ReportedRun

_TITLE = "Generated sound fields"
_CLIPS = 4
_MOMENTS = 3


def section(run: ReportedRun) -> Optional[page.Section]:
  """A 360° viewer, and true and generated energy maps of some clips."""
  if not run.generates:
    return None
  if run.info is None:
    return page.Section(_TITLE, left_out=run.why_no_records)
  examples = generation_examples.fields(run.generator, run.data_dir, run.shown_split, _CLIPS)
  clips = [generation_examples.moments(example, _MOMENTS) for example in examples]
  explanation = (
    f"{len(clips)} clips of {run.shown_split}, with {_MOMENTS} frames each: the energy of the true "
    "sound field, and below that of the field generated from the mono audio. Circles are the true "
    "directions of the sound sources."
  )
  picture = inline_media.drawing(generation_picture.draw(clips))
  html = Markup('<p class="explanation">{}</p><img class="wide" src="{}" alt="{}">')
  viewer = panorama_viewer.html([_viewed(example) for example in examples])
  parts = [Markup(panorama_viewer.assets()), viewer, html.format(explanation, picture, _TITLE)]
  return page.Section(_TITLE, Markup("").join(parts))


def _viewed(example: FieldExample) -> panorama_viewer.ViewerClip:
  """An example for the viewer, with the mono input of the network as a third field."""
  mono = np.zeros_like(example.target)
  mono[:, 0] = example.target[:, 0]
  return panorama_viewer.ViewerClip(
    title=f"{example.key}, error {example.error_db:.1f} dB",
    frames=example.frames,
    frame_rate_hz=example.frame_rate_hz,
    fields={"generated": example.field, "true": example.target, "mono": mono},
    sample_rate_hz=example.sample_rate_hz,
  )
