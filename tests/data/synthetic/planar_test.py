"""Tests of the planar world as a data set: shapes, reproducibility, labels, faulty positives."""

import collections
import dataclasses
import pickle
import zlib

import gin
import numpy as np
from sklearn import linear_model

from avssl_tf.data.synthetic import planar, planar_scene
from tests import test_base

# CRC-32 of the frames and of the audio as little-endian 16-bit samples.
_GOLDEN_CHECKSUMS = [
  (188232628, 1582731344),
  (468608196, 1134226564),
  (4168261918, 619222342),
]
# Of frames, audio and boxes of the first 64 clips of the default world.
_GOLDEN_CHECKSUM_OF_MANY = 1258027168


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

  def test_without_cues_all_clips_are_the_plain_ones(self):
    world, checksum = planar.PlanarWorld(instance_cues=0.0), 0
    for index in range(64):
      clip = world.clip("train", index)
      samples = np.round(clip.waveform * 32768).astype("<i2")
      for array in (clip.frames, samples, clip.boxes.astype("<f4")):
        checksum = zlib.crc32(array.tobytes(), checksum)
    self.assertEqual(checksum, _GOLDEN_CHECKSUM_OF_MANY)

  def test_cues_are_the_same_at_every_strength_and_leave_the_rest_alone(self):
    plain, weak, strong = (planar.PlanarWorld(instance_cues=s) for s in (0.0, 0.5, 1.0))
    for index in range(4):
      clips = [world.clip("test", index) for world in (plain, weak, strong)]
      self.assertLen({clip.frames.tobytes() for clip in clips}, 3)
      self.assertLen({clip.waveform.tobytes() for clip in clips}, 3)
      self.assertLen({dataclasses.replace(clip.cues, strength=0.0) for clip in clips}, 1)
      self.assertEqual([clip.cues.strength for clip in clips], [0.0, 0.5, 1.0])
      self.assertLen({clip.label for clip in clips}, 1)
      scenes = {
        dataclasses.replace(world._scene("test", index), cues=planar_scene.Cues())
        for world in (plain, weak, strong)
      }
      self.assertLen(scenes, 1)

  def test_cues_say_nothing_of_the_scene_and_are_uniform(self):
    world = planar.PlanarWorld(num_train=1600, instance_cues=1.0)
    drawn = [world._scene("train", index) for index in range(1600)]
    cues = np.array([dataclasses.astuple(scene.cues)[1:] for scene in drawn]).T
    facts = np.array([dataclasses.astuple(scene)[:5] for scene in drawn]).T
    correlations = np.corrcoef(np.concatenate([cues, facts]))
    self.assertLess(np.abs(correlations[:4] - np.eye(4, 9)).max(), 0.1)
    levels = np.quantile(cues, [0.1, 0.5, 0.9], axis=1)
    self.assertAllClose(levels, np.outer([0.1, 0.5, 0.9], np.ones(4)), atol=0.05)

  def test_either_modality_tells_the_cues(self):
    world, num_fit = planar.PlanarWorld(instance_cues=1.0), 320
    clips = [world.clip("train", index) for index in range(num_fit + 80)]
    background, place = np.array([(clip.cues.background, clip.cues.place) for clip in clips]).T
    frames = np.array([clip.frames for clip in clips]) / 255
    boxes = np.array([clip.boxes for clip in clips])
    colour = frames.mean(axis=(1, 2, 3))
    colour /= colour.sum(axis=1, keepdims=True)
    # Hues from red to violet are a curved path in the space of mean colours.
    seen = np.concatenate([colour[:, :2] ** power for power in (1, 2, 3)], axis=1)
    waveforms = np.array([clip.waveform for clip in clips]).reshape(len(clips), 30, 400)
    heard = np.log(np.mean(np.abs(np.fft.rfft(waveforms * np.hanning(400))) ** 2, axis=1))
    for inputs, cue, expected in (
      (seen, background, 0.7),
      (boxes.mean(axis=1)[:, [1, 3]], place, 0.7),
      (heard, background, 0.7),
      (heard, place, 0.7),
    ):
      regression = linear_model.RidgeCV(np.logspace(-6, 3, 10)).fit(inputs[:num_fit], cue[:num_fit])
      self.assertGreater(regression.score(inputs[num_fit:], cue[num_fit:]), expected)

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
    cued, faulty = (
      planar.PlanarWorld(num_train=num_clips, instance_cues=1.0, faulty_positive_rate=rate)
      for rate in (0.0, 0.25)
    )
    clip = faulty.clip("train", index)
    self.assertAllEqual(clip.frames, cued.clip("train", index).frames)
    self.assertEqual(clip.cues, cued.clip("train", index).cues)
    self.assertAllEqual(clip.waveform, cued.clip("train", clip.audio_from).waveform)

  def test_bad_input(self):
    world = planar.PlanarWorld(num_train=4)
    with self.assertRaisesRegex(ValueError, "no split 'valid'.*'train'"):
      world.clip("valid", 0)
    for index in (-1, 4):
      with self.assertRaisesRegex(IndexError, f"Clip {index} .*0..3"):
        world.clip("train", index)
    with self.assertRaisesRegex(ValueError, "faulty_positive_rate.*1.5"):
      planar.PlanarWorld(faulty_positive_rate=1.5)
    for strength in (-0.1, 1.5):
      with self.assertRaisesRegex(ValueError, f"instance_cues.*{strength}"):
        planar.PlanarWorld(instance_cues=strength)
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
