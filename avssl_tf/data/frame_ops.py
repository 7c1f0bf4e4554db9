"""Operations on frames: which to take, how to crop them, how to change their colours.

Everything here is a pure function. What is drawn at random is drawn by the caller and comes
in as uniform numbers in [0, 1), so that a value depends on nothing but its arguments.
"""

import math
from typing import Sequence, Tuple

import tensorflow as tf

from avssl_tf.addons import adjust_hsv_in_yiq
from avssl_tf.types import Tensor

CROP_TRIES = 10
# Numbers that `random_crop_box` takes: two for each try, two for the place.
CROP_UNIFORMS = 2 * CROP_TRIES + 2
# The usual relation of the side that is kept to the side that the image is resized to
# (224 of 256), see Krizhevsky, Sutskever, Hinton (NeurIPS 2012), section 4.1.
CENTER_CROP_FRACTION = 224 / 256


def frame_offsets(num_frames: int, frame_rate_hz: float, stored_rate_hz: Tensor) -> Tensor:
  """Positions of the frames of a window, in stored frames from its first one.

  Args:
    num_frames: frames wanted.
    frame_rate_hz: rate wanted.
    stored_rate_hz: float scalar, rate of the stored frames.

  Returns:
    int64 `[num_frames]`, the nearest stored frame to each wanted time; starts with 0, repeats
    frames where the rate wanted is the higher one.
  """
  step = tf.cast(stored_rate_hz, tf.float64) / frame_rate_hz
  # floor(x + 1/2) rather than rounding to even, which would space half frames unevenly.
  return tf.cast(tf.floor(tf.range(num_frames, dtype=tf.float64) * step + 0.5), tf.int64)


def random_crop_box(
  uniforms: Tensor,
  height: Tensor,
  width: Tensor,
  area: Tuple[float, float],
  aspect: Tuple[float, float],
) -> Tensor:
  """Draws the box of a random resized crop.

  As Szegedy et al. (Going deeper with convolutions, CVPR 2015, section 6) and torchvision's
  `RandomResizedCrop`: a share of the area and, uniform in its logarithm, an aspect ratio are
  drawn until the box fits into the image, ten times at most; if none fits, the largest centred
  box whose aspect ratio is within bounds.

  Args:
    uniforms: float64 `[CROP_UNIFORMS]`, uniform in [0, 1).
    height: int scalar, pixels.
    width: int scalar, pixels.
    area: bounds of the share of the image's area.
    aspect: bounds of width / height.

  Returns:
    int32 `[4]`: ymin, xmin, height, width in pixels.
  """
  shape = tf.cast(tf.stack([height, width]), tf.float64)
  tries = tf.reshape(uniforms[: 2 * CROP_TRIES], [2, CROP_TRIES])
  target_area = (area[0] + (area[1] - area[0]) * tries[0]) * shape[0] * shape[1]
  low, high = math.log(aspect[0]), math.log(aspect[1])
  ratio = tf.exp(low + (high - low) * tries[1])
  sizes = tf.round(tf.sqrt(tf.stack([target_area / ratio, target_area * ratio], axis=1)))
  fits = tf.reduce_all((sizes >= 1) & (sizes <= shape), axis=1)
  drawn = sizes[tf.argmax(fits)]
  drawn_origin = tf.floor(uniforms[2 * CROP_TRIES :] * (shape - drawn + 1))

  # Height and width of the largest box with the bounded aspect ratio.
  bounded = tf.clip_by_value(shape[1] / shape[0], *[tf.constant(a, tf.float64) for a in aspect])
  fallback = tf.round(
    tf.minimum(shape, tf.stack([shape[1] / bounded, shape[0] * bounded]))
  )
  fallback_origin = tf.floor((shape - fallback) / 2)
  box = tf.where(
    tf.reduce_any(fits),
    tf.concat([drawn_origin, drawn], axis=0),
    tf.concat([fallback_origin, fallback], axis=0),
  )
  return tf.cast(box, tf.int32)


def center_crop_box(height: Tensor, width: Tensor) -> Tensor:
  """The centred square whose side is `CENTER_CROP_FRACTION` of the short side.

  Resized to `size` it shows what resizing the short side to `size / CENTER_CROP_FRACTION` and
  cutting out the central `size` pixels shows.

  Returns:
    int32 `[4]`: ymin, xmin, height, width in pixels.
  """
  shape = tf.cast(tf.stack([height, width]), tf.float64)
  side = tf.maximum(tf.round(tf.reduce_min(shape) * CENTER_CROP_FRACTION), 1.0)
  origin = tf.floor((shape - side) / 2)
  return tf.cast(tf.concat([origin, tf.stack([side, side])], axis=0), tf.int32)


def decode_crop_resize(encoded: Sequence[Tensor], box: Tensor, size: int) -> Tensor:
  """Decodes the part of each frame inside `box` and resizes it to a square.

  A box of twice the output's size or more is halved while it is decoded, by the inverse DCT
  of half the size: that is faster, and it averages what plain bilinear sampling would skip.

  Args:
    encoded: JPEG bytes of each frame, string scalars, all of the same size.
    box: int32 `[4]`: ymin, xmin, height, width in pixels.
    size: height and width of the output.

  Returns:
    uint8 `[len(encoded), size, size, 3]`, RGB.
  """

  def decode(ratio: int) -> Tensor:
    window = box if ratio == 1 else tf.concat([box[:2] // ratio, box[2:] // ratio], axis=0)
    frames = [
      tf.image.decode_and_crop_jpeg(
        frame,
        window,
        channels=3,
        ratio=ratio,
        fancy_upscaling=False,
        dct_method="INTEGER_FAST",
      )
      for frame in encoded
    ]
    resized = tf.image.resize(tf.stack(frames), [size, size])
    return tf.cast(tf.round(resized), tf.uint8)

  halved = tf.reduce_min(box[2:]) >= 2 * size
  frames = tf.cond(halved, lambda: decode(2), lambda: decode(1))
  return tf.ensure_shape(frames, [len(encoded), size, size, 3])


def color_jitter(
  frames: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> Tensor:
  """Changes the colours of a clip, the same way in all its frames.

  Hue, saturation and brightness are changed in one step in the YIQ space, then the contrast
  around the clip's mean grey.

  Args:
    frames: uint8 `[T, H, W, 3]`, RGB.
    brightness: float scalar, factor of all values.
    contrast: float scalar, factor of the distances from the mean grey.
    saturation: float scalar, factor of the chroma.
    hue: float scalar, turn of the hue as a share of the full circle.

  Returns:
    uint8, shaped as `frames`.
  """
  pixels = adjust_hsv_in_yiq(
    tf.cast(frames, tf.float32), hue * (2 * math.pi), saturation, brightness
  )
  luma = tf.constant([0.299, 0.587, 0.114])
  grey = tf.reduce_sum(tf.reduce_mean(pixels, axis=[0, 1, 2]) * luma)
  pixels = grey + contrast * (pixels - grey)
  return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)


def flip(frames: Tensor, mirrored: Tensor) -> Tensor:
  """Mirrors left and right of `frames` `[..., H, W, 3]` where the bool scalar `mirrored` is true."""
  return tf.cond(mirrored, lambda: tf.reverse(frames, axis=[-2]), lambda: frames)
