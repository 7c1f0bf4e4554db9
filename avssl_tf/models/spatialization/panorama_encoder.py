"""A video network over equirectangular frames, without a seam."""

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

_MAPS = ("conv2x", "conv3x", "conv4x", "conv5x")


@gin.register
class PanoramaEncoder(tf.keras.layers.Layer):
  """Maps of 360° frames by a video network for ordinary ones, such as `R2Plus1D`.

  In place of the ResNet-18 for single frames of Morgado, Vasconcelos, Langlois, Wang, NeurIPS 2018,
  section 4: of the same depth and width, it can begin with what a run of AVID or AVSA has learnt
  (`train.init_from`). Frames are continued to the left and to the right by what lies beyond their
  edges, and the maps are cut back to their width.
  """

  def __init__(
    self,
    encoder: tf.keras.layers.Layer,
    stage: str = "conv5x",
    margin: int = 64,
    name: str = "panorama_encoder",
  ):
    """Creates the layer.

    Args:
      encoder: the video network; returns maps by the names of its stages.
      stage: the stage whose maps are taken.
      margin: columns that frames are continued by on either side, a multiple of the stride of the
        stage.
      name: name of the layer.

    Raises:
      UserError: no such stage, or no margin.
    """
    super().__init__(name=name)
    if stage not in _MAPS or margin < 1:
      raise UserError(
        f"PanoramaEncoder has the stage {stage!r} and a margin of {margin}; expected one of "
        f"{', '.join(_MAPS)}, and 1 or more."
      )
    self.encoder = encoder
    self._stage = stage
    self._margin = margin

  def call(self, frames: Tensor, training: bool = False) -> Tensor:
    """Maps normalised frames, float `[B, T, H, 2H, C]`, to float32 `[B, t, h, 2h, D]`.

    Raises:
      UserError: the margin is wider than the frames, or no multiple of the stride.
    """
    width, margin = frames.shape[3], self._margin
    if margin > width:
      raise UserError(
        f"PanoramaEncoder.margin is {margin}, and frames are {width} wide; expected no more."
      )
    wrapped = tf.concat([frames[..., -margin:, :], frames, frames[..., :margin, :]], axis=3)
    maps = self.encoder(wrapped, training=training)[self._stage]
    cut, rest = divmod(margin * maps.shape[3], wrapped.shape[3])
    if rest or width * maps.shape[3] % wrapped.shape[3]:
      raise UserError(
        f"PanoramaEncoder.margin is {margin}, and frames {width} wide become maps of stride "
        f"{wrapped.shape[3] / maps.shape[3]:g}; expected a width and a margin of whole multiples."
      )
    return tf.cast(maps[:, :, :, cut : maps.shape[3] - cut], tf.float32)
