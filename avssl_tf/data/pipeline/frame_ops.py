"""Operations on frames: cropping, decoding, colour changes.

All functions are pure. Random operations receive random numbers from the caller, uniform in [0, 1).
"""

import math
from collections.abc import Sequence
from typing import Union

import tensorflow as tf

from avssl_tf.addons import adjust_hsv_in_yiq
from avssl_tf.data.media import media_limits
from avssl_tf.keys import Tensor

CROP_TRIES = 10
# Random numbers of `random_crop_box`: two for each try, two for the position.
CROP_UNIFORMS = 2 * CROP_TRIES + 2
# The usual ratio of the crop size to the size of the resized image (224 of 256), see
# Krizhevsky, Sutskever, Hinton (NeurIPS 2012), section 4.1.
CENTER_CROP_FRACTION = 224 / 256
_LUMA = (0.299, 0.587, 0.114)


def random_crop_box(
  uniforms: Tensor,
  height: Tensor,
  width: Tensor,
  area: tuple[float, float],
  aspect: tuple[float, float],
) -> Tensor:
  """Draws the box of a random resized crop.

  Follows Szegedy et al. (Going deeper with convolutions, CVPR 2015, section 6) and torchvision's
  `RandomResizedCrop`. A share of the area and a log-uniform aspect ratio are drawn, up to ten
  times, until the box fits into the image. If none fits, the result is the largest centred box
  whose aspect ratio is within bounds.

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
  bounded = tf.clip_by_value(shape[1] / shape[0], aspect[0], aspect[1])
  fallback = tf.round(tf.minimum(shape, tf.stack([shape[1] / bounded, shape[0] * bounded])))
  fallback_origin = tf.floor((shape - fallback) / 2)
  box = tf.where(
    tf.reduce_any(fits),
    tf.concat([drawn_origin, drawn], axis=0),
    tf.concat([fallback_origin, fallback], axis=0),
  )
  return tf.cast(box, tf.int32)


def center_crop_box(height: Tensor, width: Tensor) -> Tensor:
  """The centred square with a side of `CENTER_CROP_FRACTION` of the short side.

  Resized to `size`, it shows the same as resizing the short side to `size / CENTER_CROP_FRACTION`
  and cropping the central `size` pixels.

  Returns:
    int32 `[4]`: ymin, xmin, height, width in pixels.
  """
  shape = tf.cast(tf.stack([height, width]), tf.float64)
  side = tf.maximum(tf.round(tf.reduce_min(shape) * CENTER_CROP_FRACTION), 1.0)
  origin = tf.floor((shape - side) / 2)
  return tf.cast(tf.concat([origin, tf.stack([side, side])], axis=0), tf.int32)


def boxes_in_crop(boxes: Tensor, crop: Tensor, height: Tensor, width: Tensor) -> Tensor:
  """Converts boxes in an image to boxes in a crop of it.

  Args:
    boxes: float32 `[..., 4]`: ymin, xmin, ymax, xmax as fractions of the image's height and width.
    crop: int32 `[4]`: ymin, xmin, height, width in pixels.
    height: int scalar, height of the image in pixels.
    width: int scalar, width of the image in pixels.

  Returns:
    float32 `[..., 4]`, as fractions of the crop's height and width, clipped at its edges. A box
    outside the crop has area 0.
  """
  size = tf.cast(tf.stack([height, width, height, width]), tf.float32)
  origin, sides = (tf.cast(tf.tile(part, [2]), tf.float32) for part in (crop[:2], crop[2:]))
  return tf.clip_by_value((boxes * size - origin) / sides, 0.0, 1.0)


def jpeg_size(
  encoded: Sequence[Tensor], key: Union[Tensor, str] = ""
) -> tuple[Tensor, Tensor]:
  """Reads the height and width of the first of several JPEGs from its header (int32 scalars).

  Args:
    encoded: JPEG bytes, string scalars.
    key: id of the clip, for the message.

  Raises:
    tf.errors.InvalidArgumentError: one of them is not a JPEG, or has more than
      `media_limits.MAX_STORED_PIXELS` pixels.
  """
  heights, widths, _ = tf.unstack(
    tf.stack([tf.io.extract_jpeg_shape(one) for one in encoded]), axis=1
  )
  with tf.control_dependencies([_check_pixels(heights, widths, key)]):
    return tf.identity(heights[0]), tf.identity(widths[0])


def decode_jpeg(
  encoded: Tensor, key: Union[Tensor, str] = "", dct_method: str = ""
) -> Tensor:
  """Decodes a whole JPEG after checking its size.

  Args:
    encoded: JPEG bytes, string scalar.
    key: id of the clip, for the message.
    dct_method: see `tf.io.decode_jpeg`.

  Returns:
    uint8 `[height, width, 3]`, RGB.

  Raises:
    tf.errors.InvalidArgumentError: see `jpeg_size`.
  """
  with tf.control_dependencies(jpeg_size([encoded], key)):
    return tf.io.decode_jpeg(encoded, channels=3, dct_method=dct_method)


def decode_png(encoded: Tensor, key: Union[Tensor, str] = "") -> Tensor:
  """Decodes a PNG of 8-bit values after checking its size.

  Args:
    encoded: PNG bytes, string scalar.
    key: id of the clip, for the message.

  Returns:
    uint8 `[height, width]`.

  Raises:
    tf.errors.InvalidArgumentError: not a PNG, or more than `media_limits.MAX_STORED_PIXELS` pixels.
  """
  # Width and height follow the signature, the length and the type of the first chunk.
  sides = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)
  sides = tf.ensure_shape(sides, [2])
  with tf.control_dependencies([_check_pixels(sides[1:], sides[:1], key)]):
    return tf.io.decode_png(encoded, channels=1)[..., 0]


def _check_pixels(
  heights: Tensor, widths: Tensor, key: Union[Tensor, str]
) -> tf.Operation:
  # A small file may declare gigabytes of pixels.
  pixels = tf.cast(heights, tf.int64) * tf.cast(widths, tf.int64)
  return tf.debugging.Assert(
    tf.reduce_all((heights >= 0) & (pixels >= 0) & (pixels <= media_limits.MAX_STORED_PIXELS)),
    ["Clip", key, "has a frame that is too large or damaged. The largest height and width are",
     tf.reduce_max(heights), tf.reduce_max(widths),
     f"; expected at most {media_limits.MAX_STORED_PIXELS} pixels. Build the data set again."],
  )  # fmt: skip


def decode_crop_resize(encoded: Sequence[Tensor], box: Tensor, size: int) -> Tensor:
  """Decodes the part of each frame inside `box` and resizes it to a square.

  A box of at least twice the output size is halved during decoding, by an inverse DCT of half the
  size. This is faster, and it averages pixels that plain bilinear sampling would skip.

  Args:
    encoded: JPEG bytes of each frame, string scalars, all of the same size.
    box: int32 `[4]`: ymin, xmin, height, width in pixels.
    size: height and width of the output.

  Returns:
    float32 `[len(encoded), size, size, 3]`, RGB, 0..255.
  """

  def decode(ratio: int) -> Tensor:
    frames = [
      tf.image.decode_and_crop_jpeg(
        frame,
        box // ratio,
        channels=3,
        ratio=ratio,
        fancy_upscaling=False,
        dct_method="INTEGER_FAST",
      )
      for frame in encoded
    ]
    return tf.image.resize(tf.stack(frames), [size, size])

  halved = tf.reduce_min(box[2:]) >= 2 * size
  frames = tf.cond(halved, lambda: decode(2), lambda: decode(1))
  return tf.ensure_shape(frames, [len(encoded), size, size, 3])


def color_jitter(
  frames: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> Tensor:
  """Changes the colours of a clip, in the same way for all frames.

  Brightness, saturation and hue are changed in YIQ space, then the distances from the clip's mean
  grey are scaled. The whole change is one affine map of the colours, without intermediate clipping.

  Args:
    frames: float32 `[T, H, W, 3]`, RGB, 0..255.
    brightness: float32 scalar, factor of all values.
    contrast: float32 scalar, factor of the distances from the mean grey.
    saturation: float32 scalar, factor of the chroma.
    hue: float32 scalar, rotation of the chroma as a fraction of the full circle.

  Returns:
    float32, same shape as `frames`; may exceed 0..255.
  """
  # The map is linear, so it is applied to the primary colours only, which is much faster.
  primaries = adjust_hsv_in_yiq(tf.eye(3)[None], hue * (2 * math.pi), saturation, brightness)[0]
  # Hue and saturation do not change luma, so the mean grey is known beforehand.
  offset = (1 - contrast) * brightness * mean_luma(frames)
  pixels = tf.matmul(tf.reshape(frames, [-1, 3]), contrast * primaries) + offset
  return tf.reshape(pixels, tf.shape(frames))


def mean_luma(frames: Tensor) -> Tensor:
  """Mean luma (ITU-R BT.601) of RGB `frames` `[T, H, W, 3]`: scalar."""
  _, height, width, _ = frames.shape
  # Summing whole rows first is several times faster than one mean over three axes.
  row = tf.reduce_mean(tf.reshape(frames, [-1, height, width * 3]), axis=[0, 1])
  color = tf.reduce_mean(tf.reshape(row, [width, 3]), axis=0)
  return tf.tensordot(color, tf.constant(_LUMA, color.dtype), 1)


def mirror(frames: Tensor) -> Tensor:
  """Flips `frames` `[T, H, W, C]` horizontally."""
  _, height, width, channels = frames.shape
  # TensorFlow is fast at reversing rows of pixels only in tensors of rank 3.
  rows = tf.reshape(frames, [-1, width, channels])
  return tf.reshape(tf.reverse(rows, axis=[1]), [-1, height, width, channels])


def to_uint8(frames: Tensor) -> Tensor:
  """Rounds float `frames` to uint8; clips values outside 0..255."""
  return tf.cast(tf.clip_by_value(frames + 0.5, 0.0, 255.0), tf.uint8)
