"""Tests of optical flow: turned scenes, objects, the seam, and its pictures."""

import cv2
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.data.synthetic.spherical import SphericalWorld
from avssl_tf.spatial import optical_flow
from tests import test_base

_HEIGHT, _WIDTH = 64, 128
_RAD_PER_PIXEL = 2 * np.pi / _WIDTH


class OpticalFlowTest(test_base.TestCase, parameterized.TestCase):

  def scene(self, height=_HEIGHT):
    """A smooth random texture without a seam: uint8 `[H, 2H, 3]`."""
    noise = self.rng.integers(0, 256, [height, 2 * height, 3]).astype(np.float32)
    wide = np.concatenate([noise] * 3, axis=1)
    smooth = cv2.GaussianBlur(wide, (0, 0), height / 32)[:, 2 * height : 4 * height]
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.round(255 * smooth).astype(np.uint8)

  @parameterized.parameters((64, 3), (64, -5), (160, 8), (160, -12))
  def test_turned_scenes_move_everywhere_alike(self, height, columns):
    scene = self.scene(height)
    frames = np.stack([np.roll(scene, n * columns, axis=1) for n in range(3)])
    pictures = optical_flow.flow_pictures(frames)
    self.assert_shape(pictures, frames.shape, np.uint8)
    motion = optical_flow.angles(pictures) * height / np.pi
    self.assertAllClose(motion.mean(axis=(0, 1, 2)), [columns, 0.0], atol=0.1)
    error = np.abs(motion - [columns, 0.0]).sum(axis=-1)
    self.assertLess(error.mean(), 0.2)
    # The first and the last columns are as good as all others.
    self.assertLess(error[:, :, [0, 1, 2, -3, -2, -1]].mean(), 0.2)
    share = abs(columns) / (height / 8)
    self.assertAllClose(pictures[..., 2].mean(), 128 + 127 * share, atol=2.0)

  def test_still_scenes(self):
    scene = self.scene()
    for count in (1, 3):
      pictures = optical_flow.flow_pictures(np.stack([scene] * count))
      self.assertAllEqual(pictures, np.full([count, _HEIGHT, _WIDTH, 3], optical_flow.STILL))
    self.assertAllEqual(optical_flow.angles(pictures), np.zeros([3, _HEIGHT, _WIDTH, 2]))

  def test_objects_move_and_what_is_behind_them_does_not(self):
    scene = self.scene() // 2
    frames = np.stack([scene] * 4)
    for number in range(4):
      top, left = 20 + 2 * number, 2 - 3 * number  # Over the seam.
      rows, columns = np.ix_(range(top, top + 12), np.arange(left, left + 12) % _WIDTH)
      frames[number][rows, columns] = self.patch
    motion = optical_flow.angles(optical_flow.flow_pictures(frames)) / _RAD_PER_PIXEL
    inside = motion[1][np.ix_(range(24, 32), np.arange(1, 8) % _WIDTH)]
    self.assertAllClose(inside.mean(axis=(0, 1)), [-3.0, 2.0], atol=0.5)
    self.assertLess(np.abs(motion[:, :, 50:90]).max(), 0.3)

  @property
  def patch(self):
    """Something to be seen: uint8 `[12, 12, 3]`."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(120, 256, [4, 4, 3]).astype(np.uint8)
    return cv2.resize(coarse, (12, 12), interpolation=cv2.INTER_LINEAR)

  def test_the_flow_of_a_turned_scene_is_the_turned_flow(self):
    scene = self.scene()
    # Columns move by different numbers of pixels, one way and the other.
    bend = 3 * np.sin(np.arange(_WIDTH) * _RAD_PER_PIXEL)
    place = np.arange(_WIDTH) - bend
    left = np.floor(place).astype(int)
    share = (place - left)[np.newaxis, :, np.newaxis]
    moved = (1 - share) * scene[:, left % _WIDTH] + share * scene[:, (left + 1) % _WIDTH]
    frames = np.stack([scene, np.round(moved).astype(np.uint8)])
    plain = optical_flow.flow_pictures(frames).astype(int)
    self.assertGreater(plain[..., 0].std(), 15)
    for columns in (16, 37, 90):
      turned = optical_flow.flow_pictures(np.roll(frames, columns, axis=2)).astype(int)
      self.assertLess(np.abs(turned - np.roll(plain, columns, axis=2)).mean(), 2.0)

  def test_objects_of_the_demo_world(self):
    world = SphericalWorld(num_train=8, num_sounding=(1, 1), num_silent=(0, 0))
    found, expected = [], []
    for index in range(8):
      clip = world.clip("train", index)
      motion = optical_flow.angles(optical_flow.flow_pictures(clip.frames))
      azimuth, elevation = np.unwrap(clip.tracks.azimuth_rad[:, 0]), clip.tracks.elevation_rad[:, 0]
      for t in range(11):
        found.append(motion[t][clip.masks[t] > 0].mean(axis=0))
        # Azimuths count to the left, elevations up.
        expected.append([azimuth[t] - azimuth[t + 1], elevation[t] - elevation[t + 1]])
    found, expected = np.array(found), np.array(expected)
    for way in (0, 1):
      self.assertGreater(np.corrcoef(found[:, way], expected[:, way])[0, 1], 0.8)

  def test_what_is_faster_than_the_scale_stays_at_its_end(self):
    columns = 14
    scene = self.scene()
    pictures = optical_flow.flow_pictures(np.stack([scene, np.roll(scene, columns, axis=1)]))
    self.assertEqual(np.median(pictures[..., 0]), 255)
    self.assertEqual(np.median(pictures[..., 2]), 255)

  def test_bad_frames(self):
    for frames, message in (
      (np.zeros([2, 8, 16, 3], np.float32), r"float32 \(2, 8, 16, 3\); expected uint8"),
      (np.zeros([0, 8, 16, 3], np.uint8), "expected uint8"),
      (np.zeros([2, 8, 16], np.uint8), "expected uint8"),
      (np.zeros([2, 16, 16, 3], np.uint8), "A frame has 16x16 pixels"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        optical_flow.flow_pictures(frames)


if __name__ == "__main__":
  tf.test.main()
