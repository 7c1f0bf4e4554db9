"""Tests of the planar world: its ground truth, its balance, and what picture and sound share."""

import collections
import dataclasses
import pickle
import zlib

import gin
import numpy as np
from absl.testing import parameterized

from avssl_tf.data.synthetic import planar, planar_frames, planar_scene, planar_sound
from tests import test_base

_SHAPES, _MOTIONS = planar_scene.SHAPES, planar_scene.MOTIONS


def _scene(shape="disc", motion="oscillate", cycles=2.0, phase=0.1, size=0.5):
  return planar_scene.Scene(
    shape=_SHAPES.index(shape),
    motion=_MOTIONS.index(motion),
    rate_hz=cycles / planar_scene.CLIP_DURATION_SEC,
    phase=phase,
    size=size,
  )


def _frames(scene, seed=0):
  return planar_frames.render(scene, np.random.default_rng(seed))


def _sound(scene, seed=0):
  return planar_sound.synthesize(scene, np.random.default_rng(seed)).astype(np.float64)


def _spectrogram(waveform, window=512, hop=250):
  """Magnitudes `[frames, 257]` and the times of the windows' centres in seconds."""
  starts = np.arange(0, len(waveform) - window + 1, hop)
  windows = np.stack([waveform[s : s + window] for s in starts]) * np.hanning(window)
  return np.abs(np.fft.rfft(windows)), (starts + window / 2) / planar_sound.SAMPLE_RATE_HZ


def _loudness(waveform, window=250):
  """RMS of consecutive windows and the times of their centres in seconds."""
  power = np.mean(waveform[: len(waveform) // window * window].reshape(-1, window) ** 2, axis=1)
  return np.sqrt(power), (np.arange(len(power)) + 0.5) * window / planar_sound.SAMPLE_RATE_HZ


def _correlation(x, y):
  return np.corrcoef(x, y)[0, 1]


class PlanarWorldTest(test_base.TestCase):

  def test_clip_has_the_documented_shapes_and_ranges(self):
    world = planar.PlanarWorld(num_train=48, num_test=16)
    for index in range(16):
      clip = world.clip("train", index)
      self.assert_shape(clip.frames, (12, 40, 40, 3), np.uint8)
      self.assert_shape(clip.waveform, (12000,), np.float32)
      self.assert_shape(clip.boxes, (12, 4), np.float32)
      self.assertEqual(len(clip.frames), world.clip_duration_sec * world.frame_rate_hz)
      self.assertEqual(len(clip.waveform), world.clip_duration_sec * world.sample_rate_hz)
      self.assertLessEqual(np.abs(clip.waveform).max(), 1.0)
      self.assertGreater(np.sqrt(np.mean(clip.waveform**2)), 1e-3)
      self.assertAllEqual(clip.waveform * 32768, np.round(clip.waveform * 32768))
      self.assertEqual(clip.audio_from, index)
      self.assertTrue(np.all((clip.boxes >= 0) & (clip.boxes <= 1)))
      self.assertTrue(np.all(clip.boxes[:, 2:] > clip.boxes[:, :2]))

  def test_same_numbers_everywhere(self):
    world = planar.PlanarWorld(seed=3, faulty_positive_rate=0.5)
    checksums = []
    for split, index in (("train", 0), ("train", 4095), ("test", 17)):
      clip = world.clip(split, index)
      samples = np.round(clip.waveform * 32768).astype("<i2")
      checksums.append((zlib.crc32(clip.frames.tobytes()), zlib.crc32(samples.tobytes())))
    self.assertEqual(checksums, _GOLDEN_CHECKSUMS)

  def test_clip_does_not_depend_on_what_was_asked_before(self):
    world = planar.PlanarWorld(num_train=32)
    first = world.clip("train", 7)
    world.clip("train", 8)
    again = planar.PlanarWorld(num_train=32).clip("train", 7)
    self.assertAllEqual(first.frames, again.frames)
    self.assertAllEqual(first.waveform, again.waveform)
    self.assertAllEqual(first.boxes, again.boxes)

  def test_seed_split_and_index_all_matter(self):
    clips = [
      planar.PlanarWorld(seed=seed).clip(split, index)
      for seed, split, index in ((0, "train", 0), (1, "train", 0), (0, "test", 0), (0, "train", 1))
    ]
    self.assertLen({clip.frames.tobytes() for clip in clips}, 4)
    self.assertLen({clip.waveform.tobytes() for clip in clips}, 4)

  def test_classes_are_balanced_and_do_not_follow_the_index(self):
    world = planar.PlanarWorld(num_train=1600)
    labels, _ = world._table("train")
    self.assertEqual(collections.Counter(labels.tolist()), {label: 100 for label in range(16)})
    self.assertLess(abs(_correlation(labels, np.arange(1600))), 0.1)
    self.assertLess(abs(_correlation(labels[1:], labels[:-1])), 0.1)
    self.assertLen(world.label_names, 16)
    self.assertEqual(world.label_names[6], "triangle_pulse")
    self.assertEqual(world.clip("train", 5).label, labels[5])

  def test_faulty_positives(self):
    num_clips = 1000
    clean = planar.PlanarWorld(num_train=num_clips)
    quarter = planar.PlanarWorld(num_train=num_clips, faulty_positive_rate=0.25)
    half = planar.PlanarWorld(num_train=num_clips, faulty_positive_rate=0.5)
    own = np.arange(num_clips)
    self.assertAllEqual(clean._table("train")[1], own)
    labels, audio_from = quarter._table("train")
    faulty = np.flatnonzero(audio_from != own)
    self.assertLen(faulty, 250)
    self.assertLess(np.mean(labels[audio_from[faulty]] == labels[faulty]), 0.12)
    self.assertContainsSubset(faulty, np.flatnonzero(half._table("train")[1] != own))
    index = int(faulty[0])
    clip = quarter.clip("train", index)
    self.assertEqual(clip.audio_from, audio_from[index])
    self.assertAllEqual(clip.frames, clean.clip("train", index).frames)
    self.assertAllEqual(clip.waveform, clean.clip("train", clip.audio_from).waveform)

  def test_bad_input(self):
    world = planar.PlanarWorld(num_train=4)
    with self.assertRaisesRegex(ValueError, "no split 'valid'.*'train'"):
      world.clip("valid", 0)
    for index in (-1, 4):
      with self.assertRaisesRegex(IndexError, f"Clip {index} .*0..3"):
        world.clip("train", index)
    with self.assertRaisesRegex(ValueError, "faulty_positive_rate.*1.5"):
      planar.PlanarWorld(faulty_positive_rate=1.5)
    with self.assertRaisesRegex(ValueError, "seed.*-1"):
      planar.PlanarWorld(seed=-1)
    with self.assertRaisesRegex(ValueError, "num_train.*-4"):
      planar.PlanarWorld(num_train=-4)

  def test_gin_configures_it_and_processes_can_share_it(self):
    self.addCleanup(gin.clear_config)
    gin.parse_config("PlanarWorld.num_train = 20\nPlanarWorld.seed = 5")
    world = gin.get_configurable("PlanarWorld")()
    self.assertEqual(world, planar.PlanarWorld(seed=5, num_train=20))
    copy = pickle.loads(pickle.dumps(world))
    self.assertAllEqual(copy.clip("train", 19).frames, world.clip("train", 19).frames)

  def test_raw_input_says_little_of_the_class(self):
    world = planar.PlanarWorld(num_train=256, num_test=128)
    features, labels = {}, {}
    for split in ("train", "test"):
      clips = [world.clip(split, index) for index in range(world.num_clips(split))]
      features[split] = np.stack([clip.frames[::2, ::2, ::2].ravel() / 127.5 - 1 for clip in clips])
      labels[split] = np.array([clip.label for clip in clips])
    targets = 2 * np.eye(16)[labels["train"]] - 1
    kernel = features["train"] @ features["train"].T
    weights = np.linalg.solve(kernel + 1e3 * np.eye(len(kernel)), targets)
    scores = features["test"] @ features["train"].T @ weights
    self.assertLess(np.mean(scores.argmax(axis=1) == labels["test"]), 0.25)


class PlanarFramesTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.product(shape=_SHAPES, motion=_MOTIONS)
  def test_box_bounds_the_object(self, shape, motion):
    # The same random numbers with another phase give the same background and
    # another place or size: what differs between the two are the objects.
    first, boxes = _frames(_scene(shape, motion, phase=0.0))
    second, other_boxes = _frames(_scene(shape, motion, phase=0.5))
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
      _, boxes = _frames(_scene(shape, motion, cycles=1 + seed / 4, size=seed / 7), seed)
      centre = (boxes[:, :2] + boxes[:, 2:]) / 2
      self.assertTrue(np.all((centre > 0.05) & (centre < 0.95)))
      self.assertTrue(np.all((boxes[:, 2:] - boxes[:, :2]) * 40 >= 3))

  def test_box_grows_with_the_size(self):
    for shape in _SHAPES:
      widths = []
      for size in (0.0, 0.5, 1.0):
        _, boxes = _frames(_scene(shape, "blink", size=size))
        widths.append(np.mean(boxes[:, 2:] - boxes[:, :2]) * 40)
      self.assertAllEqual(widths, sorted(widths))
      self.assertBetween(widths[0], 8.0, 14.0)
      self.assertBetween(widths[-1], 15.0, 23.0)

  def test_blinking_object_keeps_its_box_while_unlit(self):
    scene = _scene("disc", "blink", cycles=2.0, phase=0.0)
    frames, boxes = _frames(scene)
    lit = scene.cycles(np.arange(12) / planar_frames.FRAME_RATE_HZ) % 1.0 < planar_scene.BLINK_DUTY
    self.assertTrue(lit.any() and not lit.all())
    centre = np.round((boxes[:, :2] + boxes[:, 2:]) / 2 * 40).astype(int)
    brightness = np.array([f[y, x].max() for f, (y, x) in zip(frames, centre)])
    self.assertGreater(brightness[lit].min(), brightness[~lit].max() + 60)
    self.assertLess(np.ptp(boxes[:, 2] - boxes[:, 0]), 0.06)

  def test_noise_is_standardised(self):
    noise = planar_frames._noise((100, 1000), self.rng)
    self.assertAllClose([noise.mean(), noise.std()], [0.0, 1.0], atol=0.01)


class PlanarSoundTest(test_base.TestCase, parameterized.TestCase):

  def test_pulse_and_loudness_agree(self):
    agreement, disagreement = [], []
    for seed in range(12):
      scene = _scene("cross", "pulse", cycles=1.2 + 0.15 * seed, phase=0.3 * seed % 1.0)
      _, boxes = _frames(scene, seed)
      area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
      for phase, correlations in ((scene.phase, agreement), (scene.phase + 0.25, disagreement)):
        loudness, time_sec = _loudness(_sound(dataclasses.replace(scene, phase=phase), seed))
        heard = time_sec > 0.25  # after the latest onset
        seen = np.interp(time_sec[heard], np.arange(12) / planar_frames.FRAME_RATE_HZ, area)
        correlations.append(_correlation(seen, loudness[heard]))
    # Distractors cover a part of some of the sounds.
    self.assertGreater(np.median(agreement), 0.85)
    self.assertGreater(np.min(agreement), 0.4)
    self.assertLess(np.abs(np.mean(disagreement)), 0.4)

  @parameterized.parameters(0, 1, 2, 3)
  def test_height_and_pitch_agree(self, seed):
    scene = _scene("disc", "oscillate", cycles=1.5 + 0.4 * seed, phase=0.3 * seed)
    _, boxes = _frames(scene, seed)
    magnitude, time_sec = _spectrogram(_sound(scene, seed))
    heard = time_sec > 0.25
    pitch = _peak_hz(magnitude[heard], low_hz=280, high_hz=620)
    height = -(boxes[:, 0] + boxes[:, 2]) / 2
    seen = np.interp(time_sec[heard], np.arange(12) / planar_frames.FRAME_RATE_HZ, height)
    self.assertGreater(_correlation(seen, pitch), 0.8)

  @parameterized.parameters(0, 1, 2, 3)
  def test_glide_starts_when_the_object_passes_the_top(self, seed):
    scene = _scene("disc", "orbit", cycles=2.0, phase=0.25 * seed)
    _, boxes = _frames(scene, seed)
    time_sec = np.arange(12) / planar_frames.FRAME_RATE_HZ
    height = -(boxes[:, 0] + boxes[:, 2]) / 2
    # The drift is slow: it leaves the phase of the height's fundamental alone.
    wave = np.exp(2j * np.pi * scene.cycles(time_sec))
    height_phase = np.angle(np.sum((height - height.mean()) * np.conj(wave)))
    self.assertLess(abs(height_phase), 0.6)
    magnitude, sound_sec = _spectrogram(_sound(scene, seed))
    heard = sound_sec > 0.25
    pitch = _peak_hz(magnitude[heard], low_hz=280, high_hz=620)
    expected = scene.cycles(sound_sec[heard]) % 1.0
    settled = (expected > 0.1) & (expected < 0.9)  # Windows that hold no jump.
    self.assertGreater(_correlation(pitch[settled], expected[settled]), 0.9)

  @parameterized.parameters(0, 1, 2, 3)
  def test_bursts_start_when_the_light_goes_on(self, seed):
    scene = _scene("ring", "blink", cycles=3.0, phase=0.5 + 0.1 * seed)
    loudness, time_sec = _loudness(_sound(scene, seed), window=125)
    heard = time_sec > 0.25
    position = scene.cycles(time_sec[heard]) % 1.0
    early = np.mean(loudness[heard][(position > 0.03) & (position < 0.2)])
    late = np.mean(loudness[heard][position > 0.7])
    self.assertGreater(early, 2 * late)

  @parameterized.parameters(*_SHAPES)
  def test_larger_objects_sound_lower(self, shape):
    for size, expected_hz in ((0.0, 700.0), (0.5, 392.4), (1.0, 220.0)):
      tone = planar_sound._partials(_scene(shape, size=size), np.zeros(12000), self.rng)
      spectrum, frequencies_hz = np.abs(np.fft.rfft(tone)), np.fft.rfftfreq(12000, 1 / 8000)
      lowest_hz = frequencies_hz[spectrum > 0.2 * spectrum.max()][0]
      self.assertNear(lowest_hz, expected_hz, 2.0)

  def test_partials_keep_clear_of_the_highest_frequencies(self):
    for shape in _SHAPES:
      scene = _scene(shape, "orbit", size=0.0)
      tone = planar_sound._partials(scene, np.full(12000, 4.0), self.rng)
      power = np.abs(np.fft.rfft(tone)) ** 2
      beyond = np.fft.rfftfreq(12000, 1 / 8000) > 3650
      self.assertLess(power[beyond].sum() / power.sum(), 1e-4)

  def test_noise_has_unit_power(self):
    for _ in range(4):
      noise = planar_sound._tilted_noise(self.rng)
      self.assertAllClose([np.mean(noise), np.mean(noise**2)], [0.0, 1.0], atol=0.05)


def _peak_hz(magnitude, low_hz, high_hz):
  """Frequency of the strongest bin of each row of `[n, 257]` between two limits."""
  frequencies_hz = np.fft.rfftfreq(512, 1 / planar_sound.SAMPLE_RATE_HZ)
  band = (frequencies_hz >= low_hz) & (frequencies_hz <= high_hz)
  return frequencies_hz[band][magnitude[:, band].argmax(axis=1)]


# CRC-32 of the frames and of the sound as little-endian 16-bit samples.
_GOLDEN_CHECKSUMS = [
  (188232628, 1582731344),
  (468608196, 1134226564),
  (4168261918, 619222342),
]
