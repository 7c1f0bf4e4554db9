"""Tests of the planar world's picture: boxes, visibility, sizes."""

import numpy as np
from absl.testing import parameterized

from avssl_tf.data.synthetic import planar_frames, planar_scene
from tests import test_base
from tests.data.synthetic import scenes

_SHAPES, _MOTIONS = planar_scene.SHAPES, planar_scene.MOTIONS


class PlanarFramesTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.product(shape=_SHAPES, motion=_MOTIONS)
  def test_box_bounds_the_object(self, shape, motion):
    # The same random numbers with another phase give the same background and
    # another place or size: what differs between the two are the objects.
    first, boxes = scenes.render(scenes.scene(shape, motion, phase=0.0))
    second, other_boxes = scenes.render(scenes.scene(shape, motion, phase=0.5))
    for t in range(len(first)):
      changed = np.abs(first[t].astype(int) - second[t]).max(axis=-1) > 60
      ymin, xmin, ymax, xmax = np.round(boxes[t] * 40).astype(int)
      other = np.round(other_boxes[t] * 40).astype(int)
      inside = np.zeros_like(changed)
      inside[max(ymin - 1, 0) : ymax + 1, max(xmin - 1, 0) : xmax + 1] = True
      inside[max(other[0] - 1, 0) : other[2] + 1, max(other[1] - 1, 0) : other[3] + 1] = True
      self.assertFalse(np.any(changed & ~inside))
      if motion == "blink" and changed.any():  # Lit in one of the two: the box is tight.
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        found = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
        self.assertAllClose(found, [ymin, xmin, ymax, xmax], atol=1.01)

  @parameterized.product(shape=_SHAPES, motion=_MOTIONS)
  def test_object_stays_in_view(self, shape, motion):
    for seed in range(8):
      scene = scenes.scene(shape, motion, cycles=1 + seed / 4, size=seed / 7)
      _, boxes = scenes.render(scene, seed)
      centre = (boxes[:, :2] + boxes[:, 2:]) / 2
      self.assertTrue(np.all((centre > 0.05) & (centre < 0.95)))
      self.assertTrue(np.all((boxes[:, 2:] - boxes[:, :2]) * 40 >= 3))

  def test_box_grows_with_the_size(self):
    for shape in _SHAPES:
      widths = []
      for size in (0.0, 0.5, 1.0):
        _, boxes = scenes.render(scenes.scene(shape, "blink", size=size))
        widths.append(np.mean(boxes[:, 2:] - boxes[:, :2]) * 40)
      self.assertAllEqual(widths, sorted(widths))
      self.assertBetween(widths[0], 8.0, 14.0)
      self.assertBetween(widths[-1], 15.0, 23.0)

  def test_blinking_object_keeps_its_box_while_unlit(self):
    scene = scenes.scene("disc", "blink", cycles=2.0, phase=0.0)
    frames, boxes = scenes.render(scene)
    lit = scene.cycles(np.arange(12) / planar_frames.FRAME_RATE_HZ) % 1.0 < planar_scene.BLINK_DUTY
    self.assertTrue(lit.any() and not lit.all())
    centre = np.round((boxes[:, :2] + boxes[:, 2:]) / 2 * 40).astype(int)
    brightness = np.array([f[y, x].max() for f, (y, x) in zip(frames, centre)])
    self.assertGreater(brightness[lit].min(), brightness[~lit].max() + 60)
    self.assertLess(np.ptp(boxes[:, 2] - boxes[:, 0]), 0.06)

  def test_noise_is_standardised(self):
    noise = planar_frames._noise((100, 1000), self.rng)
    self.assertAllClose([noise.mean(), noise.std()], [0.0, 1.0], atol=0.01)
