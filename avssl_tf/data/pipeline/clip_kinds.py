"""Selects the kind of clip for a `ClipSpec`."""

from avssl_tf.data.pipeline.clip_kind import ClipKind
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.pipeline.ordinary import Ordinary
from avssl_tf.data.pipeline.panorama import Panorama
from avssl_tf.data.pipeline.views import Views


def kind_of(clip: ClipSpec) -> ClipKind:
  """Returns ordinary clips, or 360° clips as viewpoints or panoramas."""
  if clip.viewpoints is not None:
    return Views(clip)
  return Panorama(clip) if clip.panorama else Ordinary(clip)
