"""Tests of viewpoints: their directions, and the match of frames and audio."""

import math

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import viewpoints
from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.data.synthetic import planar_scene, spherical
from avssl_tf.spatial import ambisonics, directions
from tests import test_base


class ViewpointsTest(test_base.TestCase):

  def draw(self, spec, flip=True):
    return viewpoints.draw(spec, tf.constant(self.rng.random(spec.num_uniforms)), flip)

  def angles_between(self, views):
    vectors = directions.unit_vectors(views.azimuth_rad, views.elevation_rad)
    angles = directions.angle_between(vectors[:, tf.newaxis], vectors)
    return np.rad2deg(angles.numpy()[~np.eye(len(vectors), dtype=bool)])

  def test_random_viewpoints_keep_their_distance_and_bounds(self):
    spec = ViewpointSpec()
    draw = tf.function(lambda uniforms: viewpoints.draw(spec, uniforms))
    azimuths, elevations, sines, fovs = [], [], [], []
    for _ in range(300):
      views = draw(tf.constant(self.rng.random(spec.num_uniforms)))
      self.assertGreater(self.angles_between(views).min(), 36.0 - 1e-3)
      azimuths.extend(views.azimuth_rad.numpy())
      elevations.extend(views.elevation_rad.numpy())
      fovs.extend(np.rad2deg(views.horizontal_fov_rad.numpy()))
      aspect = views.horizontal_fov_rad / views.vertical_fov_rad
      self.assertAllInRange(aspect, 0.75 - 1e-4, 4 / 3 + 1e-4)
      sines.extend(views.mirrored.numpy())
    self.assertLess(np.abs(elevations).max(), np.deg2rad(30.0) + 1e-5)
    self.assertGreater(np.abs(elevations).max(), np.deg2rad(28.0))
    self.assertBetween(min(fovs), 25.5, 26.5)
    self.assertBetween(max(fovs), 89.0, 90.0)
    counts = np.histogram(azimuths, 8, (-math.pi, math.pi))[0]
    self.assertAllInRange(counts, 110, 190)  # 150 expected.
    self.assertBetween(np.mean(sines), 0.44, 0.56)

  def test_even_viewpoints(self):
    spec = ViewpointSpec(
      placement="even", max_elevation_deg=15.0, azimuth_jitter_deg=15.0, flip_probability=0.0
    )
    for _ in range(50):
      views = self.draw(spec)
      self.assertGreater(self.angles_between(views).min(), 50.0)
      self.assertFalse(np.any(views.mirrored))
      steps = np.rad2deg(np.diff(views.azimuth_rad.numpy())) % 360
      self.assertAllInRange(steps, 60.0 - 1e-3, 120.0 + 1e-3)
    fixed = viewpoints.even(spec)
    self.assertAllClose(np.rad2deg(fixed.azimuth_rad), [0, 90, 180, -90], atol=1e-4)
    self.assertAllEqual(fixed.elevation_rad, np.zeros(4))

  def test_no_flips_where_none_are_wanted(self):
    self.assertFalse(np.any(self.draw(ViewpointSpec(flip_probability=1.0), flip=False).mirrored))
    self.assertTrue(np.all(self.draw(ViewpointSpec(flip_probability=1.0)).mirrored))

  def test_what_is_seen_in_a_view_is_heard_from_there(self):
    """A viewpoint to the right of an object shows and plays it on the left."""
    world = spherical.SphericalWorld(
      num_train=12, num_test=0, num_sounding=(1, 1), num_silent=(0, 0)
    )
    for index in range(12):
      clip = world.clip("train", index)
      motion = planar_scene.MOTIONS[clip.tracks.labels[0] % len(planar_scene.MOTIONS)]
      if motion in ("oscillate", "orbit"):
        continue  # These change all the time.
      azimuth = float(clip.tracks.azimuth_rad[6, 0])
      elevation, off = float(clip.tracks.elevation_rad[6, 0]), math.radians(18.0)
      views = viewpoints.Viewpoints(
        tf.constant([azimuth - off, azimuth + off, azimuth, azimuth - off]),
        tf.constant([elevation, elevation, elevation - off, elevation]),
        tf.fill([4], np.float32(1.4)),
        tf.fill([4], np.float32(1.4)),
        tf.constant([False, False, False, True]),
      )
      masks = tf.constant(np.repeat(clip.masks[6:7, :, :, np.newaxis], 3, axis=-1))
      seen = viewpoints.look(masks, views, 33).numpy()[:, 0, :, :, 0] > 0
      heard = viewpoints.listen(tf.constant(clip.waveform), views)
      self.assert_shape(heard, [4, 12000, 4], tf.float32)
      energy = tf.reduce_mean(heard[..., :1] * heard[..., 1:], axis=1).numpy()  # Y Z X
      rows, columns = np.mgrid[16:-17:-1, 16:-17:-1]
      for view in range(4):
        left = columns[seen[view]].mean() / 16 * math.tan(0.7)
        up = rows[seen[view]].mean() / 16 * math.tan(0.7)
        y, z, x = energy[view]
        self.assertAllClose([y / x, z / x], [left, up], atol=0.15)
      self.assertGreater(energy[0, 0], 0)  # Left of the viewpoint.
      self.assertLess(energy[1, 0], 0)
      self.assertGreater(energy[2, 1], 0)  # Above it.
      self.assertLess(energy[3, 0], 0)  # Mirrored.

  def test_mirrored_views_are_mirrored_pictures(self):
    spec = ViewpointSpec(num_viewpoints=3)
    frames = tf.constant(self.rng.integers(0, 256, [2, 16, 32, 3]), tf.uint8)
    views = self.draw(spec, flip=False)
    plain = viewpoints.look(frames, views, 9)
    self.assert_shape(plain, [3, 2, 9, 9, 3], tf.uint8)
    mirrored = viewpoints.look(frames, views._replace(mirrored=tf.ones([3], tf.bool)), 9)
    self.assertAllEqual(mirrored, plain[:, :, :, ::-1])

  def test_front_view_hears_the_field_as_it_is(self):
    field = tf.constant(self.rng.normal(size=[10, 4]), tf.float32)
    views = viewpoints.even(ViewpointSpec())
    heard = viewpoints.listen(field, views)
    self.assertAllClose(heard[0], field, atol=1e-6)
    back = ambisonics.rotate(field, directions.rotation(tf.constant(math.pi)))
    self.assertAllClose(heard[2], back, atol=1e-6)

  def test_labels_are_those_of_the_nearest_object_in_view(self):
    views = viewpoints.Viewpoints(
      tf.constant([0.0, math.pi, -1.5, 0.1]),
      tf.constant([0.0, 0.2, 0.0, 1.2]),
      tf.constant([1.0, 1.0, 1.0, 1.0]),
      tf.constant([0.8, 0.8, 0.8, 0.8]),
      tf.zeros([4], tf.bool),
    )
    labels = tf.constant([7, 3, 5], tf.int64)
    azimuth, elevation = tf.constant([0.45, -0.1, -3.1]), tf.constant([0.0, 0.1, 0.1])
    found = viewpoints.labels_in_view(views, labels, azimuth, elevation)
    self.assertAllEqual(found, [3, 5, -1, -1])
    higher = viewpoints.labels_in_view(views, labels, azimuth, elevation + 0.5)
    self.assertAllEqual(higher, [-1, -1, -1, -1])
    nothing = viewpoints.labels_in_view(views, labels[:0], azimuth[:0], elevation[:0])
    self.assertAllEqual(nothing, [-1, -1, -1, -1])

  def test_bad_settings(self):
    for fields, message in (
      (dict(num_viewpoints=0), "num_viewpoints is 0; expected 1 or more"),
      (dict(placement="grid"), "'grid'; expected one of random, even"),
      (dict(max_elevation_deg=100.0), "max_elevation_deg is 100.0; expected 0..90"),
      (dict(horizontal_fov_deg=(30.0, 150.0)), "both fields of view below 180 degrees"),
      (dict(aspect=(0.0, 1.0)), r"aspect is \(0.0, 1.0\)"),
      (dict(num_viewpoints=20), "20 viewpoints drawn at random.*the maximum is"),
      (
        dict(placement="even", num_viewpoints=8, azimuth_jitter_deg=10.0),
        "8 evenly placed viewpoints with azimuth_jitter_deg=10 can be as close as 22",
      ),
      (
        # Opposite azimuths, but close if both look up.
        dict(placement="even", num_viewpoints=2, max_elevation_deg=80.0),
        "2 evenly placed viewpoints with azimuth_jitter_deg=0 can be as close as 20",
      ),
    ):
      with self.assertRaisesRegex(ValueError, message):
        ViewpointSpec(**fields)
    ViewpointSpec(num_viewpoints=1, min_separation_deg=180.0)


if __name__ == "__main__":
  tf.test.main()
