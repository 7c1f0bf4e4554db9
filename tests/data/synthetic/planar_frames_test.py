"""Tests of the frames of the planar world: boxes, visibility, sizes."""

import colorsys

import numpy as np
from absl.testing import parameterized

from avssl_tf.data.synthetic import objects, planar_frames, planar_scene
from tests import test_base
from tests.data.synthetic import scenes

_SHAPES, _MOTIONS = planar_scene.SHAPES, planar_scene.MOTIONS


class PlanarFramesTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.product(shape=_SHAPES, motion=_MOTIONS)
  def test_box_bounds_the_object(self, shape, motion):
    # The same random numbers with another phase give the same background and another position
    # or size: only the objects differ between the two.
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
      if motion == "blink" and changed.any():  # If lit in one of the two, the box is tight.
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

  @parameterized.parameters(*_MOTIONS)
  def test_cue_moves_the_object_sideways_within_view(self, motion):
    for seed in range(8):
      facts = dict(shape="ring", motion=motion, cycles=1 + seed / 4, size=seed / 7)
      _, own = scenes.render(scenes.scene(**facts), seed)
      centres = []
      for place in (0.0, 0.5, 1.0):
        _, boxes = scenes.render(scenes.scene(**facts, strength=1.0, place=place), seed)
        self.assertAllClose(boxes[:, [0, 2]], own[:, [0, 2]], atol=1.01 / 40)  # Its own height.
        centres.append((boxes[:, 1] + boxes[:, 3]) / 2)
      centres = np.array(centres)
      self.assertTrue(np.all((centres > 0.05) & (centres < 0.95)))
      left, middle, right = centres.mean(axis=1)
      self.assertGreater(right - left, 0.08)
      self.assertNear(middle, (left + right) / 2, 1 / 40)

  @parameterized.parameters(0.0, 0.3, 0.55, 1.0)
  def test_hues_and_grating_show_the_cues(self, cue):
    scene = scenes.scene(strength=1.0, background=cue, texture=cue)
    image = planar_frames._background(scene.cues, np.zeros(12), self.rng)[:, 0]
    hue, saturation, value = colorsys.rgb_to_hsv(*image.mean(axis=(1, 2)))
    self.assertNear((hue - 0.8 * cue + 0.5) % 1.0, 0.5, 0.03)
    self.assertAllClose([saturation, value], [0.9, 0.5], atol=0.05)
    period, angle = 12.0 - 7.0 * cue, np.pi * cue
    x, y = np.meshgrid(np.arange(40), np.arange(40))
    contrasts = {}
    for turn in (0.0, 0.25, 0.5):
      direction = angle + turn * np.pi
      across = np.cos(direction) * x + np.sin(direction) * y
      wave = np.hanning(40)[:, None] * np.hanning(40) * np.exp(2j * np.pi / period * across)
      brightest = image[image.mean(axis=(1, 2)).argmax()]
      contrasts[turn] = np.abs(np.sum((brightest - brightest.mean()) * wave))
    self.assertGreater(contrasts[0.0], 1.5 * max(contrasts[0.25], contrasts[0.5]))

  def test_object_keeps_its_full_value(self):
    for strength in (0.0, 0.3, 0.7, 1.0):
      for own in ((1.0, 0.25, 0.25), (0.25, 1.0, 1.0)):
        cues = planar_scene.Cues(strength=strength, colour=0.625)  # cyan
        colour = planar_frames._object_colour(cues, np.reshape(own, (3, 1, 1, 1)))
        self.assertEqual(colour.max(), 1.0)
        if strength == 0.0:
          self.assertAllEqual(colour.ravel(), own)
        if strength == 1.0:
          self.assertAllClose(colour.ravel(), (0.25, 1.0, 1.0))

  def test_noise_is_standardised(self):
    noise = objects.noise((100, 1000), self.rng)
    self.assertAllClose([noise.mean(), noise.std()], [0.0, 1.0], atol=0.01)
