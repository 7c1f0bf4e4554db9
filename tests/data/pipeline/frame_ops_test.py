import cv2
import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import frame_ops
from tests import test_base

AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)


def _numpy_crop_box(uniforms, height, width, area, aspect):
  """Reference that draws a box with one try after the other."""
  tries = uniforms[: 2 * frame_ops.CROP_TRIES].reshape(2, -1)
  for share, position in zip(*tries):
    target = (area[0] + (area[1] - area[0]) * share) * height * width
    ratio = aspect[0] * (aspect[1] / aspect[0]) ** position
    box_height, box_width = np.round(np.sqrt(target / ratio)), np.round(np.sqrt(target * ratio))
    if 1 <= box_height <= height and 1 <= box_width <= width:
      top = int(uniforms[-2] * (height - box_height + 1))
      left = int(uniforms[-1] * (width - box_width + 1))
      return [top, left, int(box_height), int(box_width)]
  return None


def _jpeg(image):
  done, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
  assert done
  return tf.constant(encoded.tobytes())


class CropBoxTest(test_base.TestCase):
  def test_against_numpy(self):
    for _ in range(100):
      height, width = self.rng.integers(20, 400, 2)
      uniforms = self.rng.random(frame_ops.CROP_UNIFORMS)
      expected = _numpy_crop_box(uniforms, height, width, AREA, ASPECT)
      if expected is not None:
        found = frame_ops.random_crop_box(tf.constant(uniforms), height, width, AREA, ASPECT)
        self.assertAllEqual(found, expected)

  def test_spreads_over_areas_ratios_and_places(self):
    boxes = np.stack(
      [
        frame_ops.random_crop_box(
          tf.constant(self.rng.random(frame_ops.CROP_UNIFORMS)), 256, 340, AREA, ASPECT
        )
        for _ in range(300)
      ]
    )
    top, left, height, width = boxes.T
    self.assertTrue(
      np.all((top >= 0) & (left >= 0) & (top + height <= 256) & (left + width <= 340))
    )
    share = height * width / (256 * 340)
    self.assertTrue(0.07 < share.min() < 0.15 and 0.85 < share.max() <= 1.0)
    ratio = width / height
    self.assertTrue(0.72 < ratio.min() < 0.85 and 1.2 < ratio.max() < 1.38)
    self.assertGreater(np.corrcoef(top, 256 - height)[0, 1], 0.3)

  def test_full_area_of_a_square_is_the_square(self):
    uniforms = tf.constant(self.rng.random(frame_ops.CROP_UNIFORMS))
    box = frame_ops.random_crop_box(uniforms, 40, 40, (1.0, 1.0), (1.0, 1.0))
    self.assertAllEqual(box, [0, 0, 40, 40])

  def test_largest_centred_box_where_none_fits(self):
    uniforms = tf.constant(self.rng.random(frame_ops.CROP_UNIFORMS))
    for height, width, expected in (
      (30, 300, [0, 130, 30, 40]),
      (300, 30, [130, 0, 40, 30]),
    ):
      box = frame_ops.random_crop_box(uniforms, height, width, (0.9, 1.0), ASPECT)
      self.assertAllEqual(box, expected)

  def test_center(self):
    self.assertAllEqual(frame_ops.center_crop_box(256, 340), [16, 58, 224, 224])
    self.assertAllEqual(frame_ops.center_crop_box(40, 40), [2, 2, 35, 35])
    self.assertAllEqual(frame_ops.center_crop_box(1, 9), [0, 4, 1, 1])


class DecodeTest(test_base.TestCase):
  def _image(self, height, width):
    small = self.rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)

  def test_crops_and_resizes(self):
    image = self._image(96, 128)
    for box, size in (([0, 0, 96, 128], 64), ([17, 33, 50, 41], 32), ([64, 96, 32, 32], 48)):
      found = frame_ops.decode_crop_resize([_jpeg(image)] * 2, tf.constant(box), size)
      top, left, height, width = box
      cropped = image[top : top + height, left : left + width]
      expected = cv2.resize(cropped.astype(np.float32), (size, size))
      self.assert_shape(found, (2, size, size, 3), tf.float32)
      self.assertLess(np.mean(np.abs(found[0] - expected)), 3.0)
      self.assertAllEqual(found[0], found[1])

  def test_large_boxes_are_averaged(self):
    image = self._image(192, 256)
    found = frame_ops.decode_crop_resize([_jpeg(image)], tf.constant([32, 64, 128, 128]), 64)
    expected = cv2.resize(image[32:160, 64:192], (64, 64), interpolation=cv2.INTER_AREA)
    self.assertLess(np.mean(np.abs(found[0] - expected)), 3.0)

  def test_fine_texture_becomes_grey_where_the_box_is_large(self):
    # Stripes of single pixels: skipping pixels would leave them black or white.
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    found = frame_ops.decode_crop_resize([_jpeg(stripes)], tf.constant([0, 0, 128, 128]), 64)
    self.assertAllInRange(found, 100.0, 156.0)

  def test_grey_images_have_three_channels(self):
    done, encoded = cv2.imencode(".jpg", np.full((32, 32), 90, np.uint8))
    self.assertTrue(done)
    jpeg = tf.constant(encoded.tobytes())
    found = frame_ops.decode_crop_resize([jpeg], tf.constant([0, 0, 32, 32]), 16)
    self.assertAllClose(found, np.full((1, 16, 16, 3), 90.0), atol=2)


class ColorTest(test_base.TestCase):
  def _frames(self):
    return self.rng.uniform(0, 255, (3, 6, 5, 3)).astype(np.float32)

  def test_nothing_changes_at_neutral_factors(self):
    frames = self._frames()
    self.assertAllClose(frame_ops.color_jitter(frames, 1.0, 1.0, 1.0, 0.0), frames, atol=0.1)

  def test_against_numpy(self):
    frames = self._frames()
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    for brightness, contrast, saturation, hue in (
      (1.3, 1.0, 1.0, 0.0),
      (1.0, 0.6, 1.0, 0.0),
      (1.0, 1.0, 1.4, 0.0),
      (1.0, 1.0, 1.0, 0.2),
      (0.7, 1.3, 0.6, -0.15),
    ):
      yiq = frames.astype(np.float64) @ to_yiq.T
      chroma = (yiq[..., 1] + 1j * yiq[..., 2]) * saturation * np.exp(2j * np.pi * hue)
      changed = np.stack([yiq[..., 0], chroma.real, chroma.imag], axis=-1)
      expected = brightness * changed @ np.linalg.inv(to_yiq).T
      grey = np.mean(expected @ to_yiq[0])
      expected = grey + contrast * (expected - grey)
      found = frame_ops.color_jitter(frames, brightness, contrast, saturation, hue)
      self.assertAllClose(found, expected, atol=0.3)

  def test_no_contrast_leaves_the_mean_grey(self):
    frames = self._frames()
    found = frame_ops.color_jitter(frames, 1.0, 0.0, 1.0, 0.0)
    grey = np.mean(frames @ np.float32([0.299, 0.587, 0.114]))
    self.assertAllClose(found, np.full_like(frames, grey), rtol=1e-3)

  def test_grey_has_no_hue(self):
    frames = np.repeat(self.rng.uniform(0, 255, (2, 4, 4, 1)), 3, axis=-1).astype(np.float32)
    self.assertAllClose(frame_ops.color_jitter(frames, 1.0, 1.0, 1.0, 0.2), frames, atol=0.3)

  def test_mean_luma(self):
    frames = self._frames()
    expected = np.mean(frames.astype(np.float64) @ [0.299, 0.587, 0.114])
    self.assertAllClose(frame_ops.mean_luma(tf.constant(frames)), expected, rtol=1e-5)

  def test_mirror(self):
    frames = self._frames()
    self.assertAllEqual(frame_ops.mirror(tf.constant(frames)), frames[:, :, ::-1])

  def test_to_uint8(self):
    values = tf.constant([-20.0, -0.2, 0.49, 0.51, 254.4, 254.6, 255.4, 300.0])
    self.assertAllEqual(frame_ops.to_uint8(values), [0, 0, 0, 1, 254, 255, 255, 255])


if __name__ == "__main__":
  tf.test.main()
