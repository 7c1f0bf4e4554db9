"""Tests of ambisonics against golden numbers, SciPy's harmonics, and what physics says."""

import math
import os

import numpy as np
import scipy.special
import tensorflow as tf

from avssl_tf.data.media import sound_file
from avssl_tf.spatial import ambisonics, directions
from tests import test_base

_TESTDATA = os.path.join(os.path.dirname(__file__), "..", "testdata")
ORDERS = (1, 2, 3)


def _oracle(azimuth, elevation, order):
  """SN3D harmonics in ACN order from associated Legendre functions (AmbiX, equation 3)."""
  result = []
  for n in range(order + 1):
    for m in range(-n, n + 1):
      k = abs(m)
      # SciPy's functions have the Condon-Shortley phase.
      legendre = (-1) ** k * scipy.special.lpmv(k, n, np.sin(elevation))
      weight = math.sqrt((2 - (m == 0)) * math.factorial(n - k) / math.factorial(n + k))
      turn = np.cos(k * azimuth) if m >= 0 else np.sin(k * azimuth)
      result.append(weight * legendre * turn)
  return np.stack(result, axis=-1)


class AmbisonicsTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.azimuth = self.rng.uniform(-math.pi, math.pi, [6])
    self.elevation = self.rng.uniform(-math.pi / 2, math.pi / 2, [6])
    self.rotations = directions.rotation(*self.rng.uniform(-math.pi, math.pi, [3, 6]))

  def test_harmonics_are_those_of_the_standard(self):
    for order in ORDERS:
      self.assertAllClose(
        ambisonics.harmonics(self.azimuth, self.elevation, order),
        _oracle(self.azimuth, self.elevation, order),
        atol=1e-12,
      )

  def test_golden_harmonics_and_decoding(self):
    golden = np.load(os.path.join(_TESTDATA, "spatial.npz"))
    for i in range(3):
      azimuth, elevation = golden[f"polar{i}"][:, np.newaxis]
      for order in (1, 2):
        self.assertAllClose(
          ambisonics.harmonics(azimuth, elevation, order)[0],
          golden[f"sh_matrix_order{order}"][i],
          atol=1e-12,
        )
      field = golden["foa"].T.astype(np.float64)
      heard = ambisonics.decode(field, azimuth, elevation)
      self.assertAllClose(heard[:, 0], golden[f"decode{i}"][0], atol=1e-12)

  def test_front_of_a_turned_field_is_what_was_heard_in_the_viewing_direction(self):
    """The reference rotates in the wrong order, which this shows where both angles are not 0."""
    golden = np.load(os.path.join(_TESTDATA, "spatial.npz"))
    field = golden["foa"].T.astype(np.float64)
    for i, wrong in ((0, False), (1, True), (2, True)):
      azimuth, elevation = tf.unstack(tf.constant(golden[f"polar{i}"]))
      back = tf.transpose(directions.rotation(azimuth, elevation))
      front = tf.zeros([1], tf.float64)
      turned = ambisonics.rotate(field, back)
      self.assertAllClose(
        ambisonics.decode(turned, front, front)[:, 0], golden[f"decode{i}"][0], atol=1e-12
      )
      difference = np.max(np.abs(golden[f"rotate_reference_order{i}"].T - turned.numpy()))
      self.assertEqual(difference > 0.1, wrong)

  def test_rotating_a_field_moves_its_sources(self):
    for order in ORDERS:
      field = ambisonics.harmonics(self.azimuth, self.elevation, order)[:, tf.newaxis]
      vectors = directions.unit_vectors(self.azimuth, self.elevation)
      moved = directions.angles(directions.rotate(vectors, self.rotations))
      self.assertAllClose(
        ambisonics.rotate(field, self.rotations)[:, 0],
        ambisonics.harmonics(*moved, order),
        atol=1e-12,
      )

  def test_rotations_compose_and_keep_energy(self):
    a, b = self.rotations[0], self.rotations[1]
    for order in ORDERS:
      matrix = ambisonics.rotation_matrix(a @ b, order)
      product = ambisonics.rotation_matrix(a, order) @ ambisonics.rotation_matrix(b, order)
      self.assertAllClose(matrix, product, atol=1e-12)
      self.assertAllClose(matrix @ tf.transpose(matrix), np.eye((order + 1) ** 2), atol=1e-12)

  def test_one_field_turned_in_several_ways(self):
    field = self.rng.normal(size=[5, 4]).astype(np.float32)
    rotations = tf.cast(self.rotations, tf.float32)
    turned = ambisonics.rotate(field[np.newaxis], rotations)
    self.assert_shape(turned, [6, 5, 4], tf.float32)
    self.assertAllClose(turned[2], ambisonics.rotate(field, rotations[2]), atol=1e-6)

  def test_mirror_exchanges_left_and_right(self):
    for order in ORDERS:
      field = ambisonics.harmonics(self.azimuth, self.elevation, order)
      self.assertAllClose(
        ambisonics.mirror(field),
        ambisonics.harmonics(-self.azimuth, self.elevation, order),
        atol=1e-12,
      )

  def test_encodes_resting_and_moving_sources(self):
    sources = self.rng.normal(size=[7, 2])
    azimuth = self.rng.uniform(-3, 3, [7, 2])
    elevation = self.rng.uniform(-1, 1, [7, 2])
    for order in ORDERS:
      moving = ambisonics.encode(sources, azimuth, elevation, order)
      expected = sum(
        sources[:, s, None] * _oracle(azimuth[:, s], elevation[:, s], order) for s in range(2)
      )
      self.assertAllClose(moving, expected, atol=1e-12)
      resting = ambisonics.encode(sources, azimuth[0], elevation[0], order)
      tiled = np.tile(azimuth[0], [7, 1]), np.tile(elevation[0], [7, 1])
      self.assertAllClose(
        resting, ambisonics.encode(sources, *tiled, order), atol=1e-12
      )

  def test_decoding_towards_a_source(self):
    source = self.rng.normal(size=[9, 1])
    for order in ORDERS:
      field = ambisonics.encode(source, self.azimuth[:1], self.elevation[:1], order)
      heard = ambisonics.decode(field, self.azimuth[:1], self.elevation[:1])
      self.assertAllClose(heard, (order + 1) * source)
    first = ambisonics.encode(source, self.azimuth[:1], self.elevation[:1], 1)
    behind = ambisonics.decode(first, self.azimuth[:1] + math.pi, -self.elevation[:1])
    self.assertAllClose(behind, np.zeros([9, 1]), atol=1e-12)

  def test_converts_between_conventions(self):
    # Malham's definitions of FuMa channels, from the direction of a single source.
    a, e = self.azimuth, self.elevation
    fuma = np.stack([
      np.full(6, math.sqrt(0.5)), np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e),
      1.5 * np.sin(e) ** 2 - 0.5, np.cos(a) * np.sin(2 * e), np.sin(a) * np.sin(2 * e),
      np.cos(2 * a) * np.cos(e) ** 2, np.sin(2 * a) * np.cos(e) ** 2,
      np.sin(e) * (5 * np.sin(e) ** 2 - 3) / 2,
      math.sqrt(135 / 256) * np.cos(a) * np.cos(e) * (5 * np.sin(e) ** 2 - 1),
      math.sqrt(135 / 256) * np.sin(a) * np.cos(e) * (5 * np.sin(e) ** 2 - 1),
      math.sqrt(27 / 4) * np.cos(2 * a) * np.sin(e) * np.cos(e) ** 2,
      math.sqrt(27 / 4) * np.sin(2 * a) * np.sin(e) * np.cos(e) ** 2,
      np.cos(3 * a) * np.cos(e) ** 3, np.sin(3 * a) * np.cos(e) ** 3,
    ], axis=-1)  # fmt: skip
    for order in ORDERS:
      channels = (order + 1) ** 2
      field = ambisonics.harmonics(a, e, order)
      self.assertAllClose(ambisonics.convert(fuma[:, :channels], "FuMa"), field, atol=1e-12)
      self.assertAllClose(
        ambisonics.convert(field, "ACN/SN3D", "FuMa"), fuma[:, :channels], atol=1e-12
      )
      n3d = ambisonics.convert(field, "ACN/SN3D", "ACN/N3D")
      # Harmonics of N3D have a mean square of 1 over the sphere.
      grid = ambisonics.harmonics(
        *directions.angles(tf.constant(ambisonics.spread_directions(4000))), order
      )
      squares = tf.reduce_mean(ambisonics.convert(grid, "ACN/SN3D", "ACN/N3D") ** 2, axis=0)
      self.assertAllClose(squares, np.ones(channels), atol=1e-3)
      self.assertAllClose(ambisonics.convert(n3d, "ACN/N3D"), field, atol=1e-12)

  def test_energy_peaks_where_the_source_is(self):
    for order in ORDERS:
      source = tf.constant(self.rng.normal(size=[50, 1]), tf.float32)
      angles = tf.constant([[1.2], [-0.5]])
      field = ambisonics.encode(source, *angles, order)
      energy = ambisonics.energy_map(field, 60, 120).numpy()
      row, column = np.unravel_index(np.argmax(energy), energy.shape)
      azimuth, elevation = ambisonics.pixel_directions(60, 120)
      self.assertAllClose(azimuth[row, column], 1.2, atol=0.03)
      self.assertAllClose(elevation[row, column], -0.5, atol=0.03)
      heard = ambisonics.decode(field, azimuth[row, column][None], elevation[row, column][None])
      self.assertAllClose(energy.max(), np.sqrt(np.mean(heard**2)), rtol=1e-4)

  def test_pixel_directions(self):
    azimuth, elevation = ambisonics.pixel_directions(2, 4)
    self.assertAllClose(azimuth[0], np.pi * np.array([0.75, 0.25, -0.25, -0.75]))
    self.assertAllClose(elevation[:, 0], [np.pi / 4, -np.pi / 4])

  def test_wrong_orders_and_channels(self):
    for order in (0, 4):
      with self.assertRaisesRegex(ValueError, f"order {order}; expected 1..3"):
        ambisonics.harmonics(tf.zeros([1]), tf.zeros([1]), order)
    with self.assertRaisesRegex(ValueError, r"2 channel\(s\) is not ambisonics; expected 4 "):
      ambisonics.rotate(tf.zeros([5, 2]), tf.eye(3))
    with self.assertRaisesRegex(ValueError, "'ambix'; expected one of ACN/SN3D"):
      ambisonics.convert(tf.zeros([5, 4]), "ambix")

  def test_a_real_recording(self):
    waveform = sound_file.read_sound(os.path.join(_TESTDATA, "foa_acn_sn3d_48k.wav"), 48000, 4)
    self.assert_shape(waveform, [None, 4])
    # The strongest direction turns with the field.
    energy = ambisonics.energy_map(waveform, 90, 180).numpy()
    turned = ambisonics.rotate(tf.constant(waveform), directions.rotation(tf.constant(math.pi / 2)))
    # A quarter turn to the left shifts an equirectangular image by a quarter of its width.
    expected = np.roll(energy, -45, axis=1)
    self.assertAllClose(ambisonics.energy_map(turned, 90, 180), expected, rtol=1e-3)
    self.assertGreater(energy.max() / energy.min(), 1.2)


if __name__ == "__main__":
  tf.test.main()
