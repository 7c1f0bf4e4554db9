"""A video network over equirectangular frames, with circular padding."""

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

_MAPS = ("conv2x", "conv3x", "conv4x", "conv5x")


@gin.register
class PanoramaEncoder(tf.keras.layers.Layer):
  """Feature maps of 360° frames from a standard video network, such as `R2Plus1D`.

  It replaces the ResNet-18 over single frames of the paper by a network of the same depth and
  width, which can be initialised from a run of AVID or AVSA (`train.init_from`). Frames are padded
  circularly on the left and on the right, and the maps are cropped to the original width.

  Source:
    This project. The paper uses a ResNet-18: Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised
    Generation of Spatial Audio for 360° Video", NeurIPS 2018, section 4.
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
      encoder: the video network; returns maps by name of the stage.
      stage: name of the stage to use, `"conv2x"` to `"conv5x"`.
      margin: number of columns of padding on each side, a multiple of the stride of the stage.
      name: name of the layer.

    Raises:
      UserError: the stage is unknown, or the margin is below 1.
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
    """Computes feature maps.

    Args:
      frames: float `[B, T, H, 2H, C]`, normalised equirectangular frames.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      float32 `[B, t, h, 2h, D]`.

    Raises:
      UserError: the margin is wider than the frames, or the width or the margin is not a multiple
        of the stride.
    """
    width, margin = frames.shape[3], self._margin
    if margin > width:
      raise UserError(
        f"PanoramaEncoder.margin is {margin}; expected at most the width of the frames, {width}."
      )
    wrapped = tf.concat([frames[..., -margin:, :], frames, frames[..., :margin, :]], axis=3)
    maps = self.encoder(wrapped, training=training)[self._stage]
    cut, rest = divmod(margin * maps.shape[3], wrapped.shape[3])
    if rest or width * maps.shape[3] % wrapped.shape[3]:
      raise UserError(
        f"PanoramaEncoder.margin is {margin} and the frames are {width} wide; expected multiples "
        f"of the stride of the maps, {wrapped.shape[3] / maps.shape[3]:g}."
      )
    return tf.cast(maps[:, :, :, cut : maps.shape[3] - cut], tf.float32)
