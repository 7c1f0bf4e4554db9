"""Tests of the spherical world: audio matches visible directions and the ground truth."""

import colorsys
import dataclasses
import hashlib
import math

import numpy as np
import tensorflow as tf

from avssl_tf.data.synthetic import (
  planar_scene,
  spherical,
  spherical_frames,
  spherical_scene,
  spherical_sound,
  voices,
)
from avssl_tf.spatial import ambisonics, directions
from tests import test_base

NUM_CLIPS = 12


def _world(**fields):
  return spherical.SphericalWorld(num_train=NUM_CLIPS, num_test=4, **fields)


def _vectors(tracks):
  return directions.unit_vectors(tracks.azimuth_rad, tracks.elevation_rad).numpy()


def _angle(a, b):
  return directions.angle_between(tf.constant(a), tf.constant(b)).numpy()


class SphericalWorldTest(test_base.TestCase):

  def test_shapes_and_ranges(self):
    clip = _world().clip("train", 0)
    self.assert_shape(clip.frames, [12, 64, 128, 3], tf.uint8)
    self.assert_shape(clip.waveform, [12000, 4], tf.float32)
    self.assertLess(np.abs(clip.waveform).max(), 1.0)
    self.assertAllEqual(clip.waveform * 32768, np.rint(clip.waveform * 32768))
    self.assert_shape(clip.masks, [12, 64, 128], tf.uint8)
    tracks = clip.tracks
    self.assert_shape(tracks.labels, [4], tf.int64)
    self.assertAllEqual(tracks.is_sounding, [True, True, True, False])
    self.assert_shape(tracks.azimuth_rad, [12, 4], tf.float32)
    self.assertAllLess(np.abs(tracks.azimuth_rad), math.pi + 1e-6)

  def test_is_the_same_everywhere_and_always(self):
    clips = [_world().clip(split, index) for split, index in (("train", 3), ("test", 1))]
    found = [
      hashlib.sha256(part.tobytes()).hexdigest()[:12]
      for clip in clips
      for part in (clip.frames, clip.waveform)
    ]
    self.assertEqual(found, ["0307b405537b", "9689280e08d7", "088323f334ee", "2eb9216c2203"])

  def test_numbers_of_objects(self):
    world = _world(num_sounding=(1, 2), num_silent=(0, 2))
    counts = [
      (int(t.is_sounding.sum()), int((~t.is_sounding).sum()))
      for t in (world.clip("train", i).tracks for i in range(NUM_CLIPS))
    ]
    self.assertEqual({c[0] for c in counts}, {1, 2})
    self.assertEqual({c[1] for c in counts}, {0, 1, 2})

  def test_silent_objects_look_like_sounding_ones(self):
    world = _world(num_silent=(2, 2))
    for index in range(NUM_CLIPS):
      labels = world.clip("train", index).tracks.labels
      shapes = labels // len(planar_scene.MOTIONS)
      self.assertContainsSubset(shapes[3:].tolist(), shapes[:3].tolist())
      self.assertLen(set(labels[:3].tolist()), 3)

  def test_a_single_sound_comes_from_its_object(self):
    world = _world(num_sounding=(1, 1), num_silent=(1, 1))
    for index in range(NUM_CLIPS):
      clip = world.clip("train", index)
      seen = _vectors(clip.tracks)
      # The audio of one frame duration around each frame, weighted by its energy.
      errors, weights = [], []
      for frame in range(1, 12):
        field = clip.waveform[frame * 1000 - 500 : frame * 1000 + 500].astype(np.float64)
        intensity = np.mean(field[:, :1] * field[:, [3, 1, 2]], axis=0)
        errors.append(_angle(intensity, seen[frame, 0].astype(np.float64)))
        weights.append(np.mean(field[:, 0] ** 2))
      self.assertLess(np.average(errors, weights=weights), np.deg2rad(5.0), f"clip {index}")

  def test_several_sounds_and_noise_without_direction(self):
    clip = _world().clip("train", 1)
    energy = ambisonics.energy_map(clip.waveform, 32, 64).numpy()
    self.assertGreater(energy.min(), 0.0)
    power = np.mean(clip.waveform.astype(np.float64) ** 2, axis=0)
    self.assertGreater(power[0], power[1:].max())

  def test_masks_lie_where_the_objects_are(self):
    world = _world(num_sounding=(2, 2), num_silent=(0, 0))
    azimuth, elevation = ambisonics.pixel_directions(64, 128)
    pixels = directions.unit_vectors(azimuth, elevation).numpy()
    area = np.cos(elevation)
    for index in range(NUM_CLIPS):
      clip = world.clip("train", index)
      vectors = _vectors(clip.tracks)
      for number, label in enumerate(clip.tracks.labels):
        for frame in range(12):
          covered = clip.masks[frame] == 1 + label
          self.assertGreater(covered.sum(), 4)
          centre = np.sum(pixels * (covered * area)[..., None], axis=(0, 1))
          self.assertLess(_angle(centre, vectors[frame, number]), np.deg2rad(4.0))

  def test_windows_of_columns_lose_nothing(self):
    """Rendering all columns gives the same coverage as only those near the object."""
    rng, time_sec = np.random.default_rng(0), np.arange(12) / spherical_frames.FRAME_RATE_HZ
    everywhere = np.arange(spherical_frames.WIDTH)
    for _ in range(80):
      scene = spherical_scene.draw_scene(1, 0, True, np.deg2rad(40.0), 0.0, rng)
      angle = np.zeros(12)
      near = spherical_frames._columns_near(scene.objects[0])
      self.assertLen(set(near.tolist()), len(near))
      whole = spherical_frames._coverage(scene.objects[0], time_sec, angle, everywhere)
      part = spherical_frames._coverage(scene.objects[0], time_sec, angle, near)
      self.assertAllClose(whole[..., near], part)
      self.assertAllClose(whole.sum(), part.sum())

  def test_objects_keep_apart(self):
    for index in range(NUM_CLIPS):
      azimuth = np.sort(
        [one.azimuth_rad for one in _world()._scene("train", index).objects]
      )
      gaps = np.diff(np.append(azimuth, azimuth[0] + 2 * np.pi))
      self.assertGreater(gaps.min(), np.deg2rad(49.9))

  def test_silent_objects_look_alike_or_not(self):
    for look_alikes in (True, False):
      world = _world(num_sounding=(2, 2), num_silent=(2, 2), look_alikes=look_alikes)
      for index in range(NUM_CLIPS):
        labels = [one.label for one in world._scene("train", index).objects]
        shapes = [label // len(planar_scene.MOTIONS) for label in labels]
        if look_alikes:
          self.assertEqual(shapes[:2], shapes[2:])
        else:
          self.assertLen(set(shapes), 4)

  def test_registers_tell_shapes_apart_by_pitch(self):
    """The lowest strong frequency of a steady tone is in the register of its shape."""
    rng, registers = np.random.default_rng(2), spherical_sound._REGISTERS_HZ
    for shape in range(len(planar_scene.SHAPES)):
      scene = planar_scene.Scene(shape, motion=2, rate_hz=1.0, phase=0.0, size=0.5)
      one = dataclasses.replace(
        spherical_scene.draw_scene(1, 0, True, 0.3, 0.0, rng).objects[0], scene=scene
      )
      alone = spherical_scene.SphericalScene((one,), planar_scene.Cues())
      heard = [
        spherical_sound.synthesize(alone, (-80.0, -80.0), flag, np.random.default_rng(0))[:, 0]
        for flag in (True, False)
      ]
      lowest = []
      for sound in heard:
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        lowest.append(np.argmax(spectrum > 0.2 * spectrum.max()) * 8000 / 12000)
      low, high = registers[shape]
      self.assertBetween(lowest[0], low - 5, high + 5)
      self.assertBetween(lowest[1], 220 - 5, 700 + 5)

  def test_partials_fall_with_frequency(self):
    """Attenuation per octave, relative to the same levels and phases without attenuation."""
    for shape in range(len(planar_scene.SHAPES)):
      scene = planar_scene.Scene(shape, motion=2, rate_hz=1.0, phase=0.0, size=0.5)
      flat, tilted = (
        np.abs(
          np.fft.rfft(
            voices.partials(
              scene, np.zeros(12000), np.random.default_rng(3), (200.0, 200.0), tilt_db
            )
          )
        )
        for tilt_db in (0.0, 6.0)
      )
      ratios = np.array(voices._TIMBRES[planar_scene.SHAPES[shape]][0])
      bins = np.round(ratios * 200.0 * 12000 / 8000).astype(int)
      fall_db = 20 * np.log10(tilted[bins] / flat[bins])
      self.assertAllClose(fall_db - fall_db[0], -6.0 * np.log2(ratios), atol=0.1)
      self.assertAllClose(np.sum(tilted**2), np.sum(flat**2), rtol=1e-3)

  def test_motion_moves_the_sound_too(self):
    """Audio follows oscillating and orbiting objects, not the centre of their motion."""
    rng = np.random.default_rng(1)
    time_sec = np.arange(100) / 100
    for _ in range(20):
      one = spherical_scene.draw_scene(1, 0, True, 0.3, 0.0, rng).objects[0]
      vectors = one.directions(time_sec)
      self.assertAllClose(np.linalg.norm(vectors, axis=-1), np.ones(100))
      middle, right, up = one.axes(time_sec)
      distance = _angle(vectors, middle)
      motion = planar_scene.MOTIONS[one.scene.motion]
      if motion in ("oscillate", "orbit"):
        self.assertBetween(distance.max(), np.deg2rad(8.9), np.deg2rad(15.1))
      else:
        self.assertAllClose(distance, np.zeros(100), atol=1e-6)
      for axis in (right, up):
        self.assertAllClose(np.sum(middle * axis, axis=-1), np.zeros(100), atol=1e-12)
      self.assertAllClose(np.cross(right, up), middle * -1.0)

  def test_shortcuts_are_seen_and_heard_without_direction(self):
    plain, strong = _world(), _world(shortcut=1.0)
    for index in range(3):
      one, other = plain.clip("train", index), strong.clip("train", index)
      # Only W differs, apart from the common gain, which may be lower.
      gains = [np.std(clip.waveform[:, 1]) for clip in (one, other)]
      ratio = gains[1] / gains[0]
      self.assertAllClose(
        other.waveform[:, 1:], one.waveform[:, 1:] * ratio, atol=2e-4
      )
      hum = other.waveform[:, 0] - one.waveform[:, 0] * ratio
      self.assertGreater(np.std(hum), 1.5 * np.std(one.waveform[:, 0] * ratio) / 2)
      cue = strong._scene("train", index).cues.background
      peak_hz = np.argmax(np.abs(np.fft.rfft(hum))) * 8000 / 12000
      self.assertAllClose(peak_hz, 90.0 * 3.0**cue, atol=1.0)
      background = np.median(other.frames[other.masks == 0], axis=0) / 255
      hue = colorsys.rgb_to_hsv(*background)[0]
      self.assertLess(abs(hue - 0.8 * cue), 0.05)
      self.assertAllEqual(one.masks, other.masks)

  def test_bad_fields(self):
    for fields, message in (
      (dict(seed=-1), "seed is -1; expected 0 or more"),
      (dict(num_train=-1), "num_train is -1 and num_test is .*; expected 0 or more"),
      (dict(shortcut=1.5), "shortcut is 1.5; expected 0..1"),
      (dict(num_sounding=(0, 2)), "num_sounding is \\(0, 2\\); expected"),
      (dict(num_silent=(2, 1)), "num_silent is \\(2, 1\\); expected"),
      (dict(diffuse_db=(-14.0, -26.0)), "diffuse_db is \\(-14.0, -26.0\\); expected"),
      (dict(max_elevation_deg=60.0), "max_elevation_deg is 60.0; expected 0..40"),
      (dict(num_silent=(1, 2), look_alikes=False), "at most 4 objects of different shapes"),
      (dict(num_sounding=(3, 6), num_silent=(0, 3)), "at most 8 objects, got up to 6 sounding"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        spherical.SphericalWorld(**fields)
    with self.assertRaisesRegex(IndexError, "Clip 12 of 'train': the split has clips 0..11"):
      _world().clip("train", 12)
    with self.assertRaisesRegex(ValueError, "no split 'valid'"):
      _world().clip("valid", 0)


if __name__ == "__main__":
  tf.test.main()
