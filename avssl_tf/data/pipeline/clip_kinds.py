"""The kind of clip that a `ClipSpec` asks for."""

from avssl_tf.data.pipeline.clip_kind import ClipKind
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.pipeline.ordinary import Ordinary
from avssl_tf.data.pipeline.panorama import Panorama
from avssl_tf.data.pipeline.views import Views


def kind_of(clip: ClipSpec) -> ClipKind:
  """Ordinary clips, or 360° clips from viewpoints or as panoramas."""
  if clip.viewpoints is not None:
    return Views(clip)
  return Panorama(clip) if clip.panorama else Ordinary(clip)
