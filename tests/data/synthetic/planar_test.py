"""Tests of the planar world as a data set: shapes, reproducibility, labels, faulty positives."""

import collections
import pickle
import zlib

import gin
import numpy as np

from avssl_tf.data.synthetic import planar
from tests import test_base

# CRC-32 of the frames and of the sound as little-endian 16-bit samples.
_GOLDEN_CHECKSUMS = [
  (188232628, 1582731344),
  (468608196, 1134226564),
  (4168261918, 619222342),
]


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
    self.assertLess(abs(np.corrcoef(labels, np.arange(1600))[0, 1]), 0.1)
    self.assertLess(abs(np.corrcoef(labels[1:], labels[:-1])[0, 1]), 0.1)
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
