"""Tests of AVC-Bin and AVSA-Bin, on features constructed with or without the answer."""

import dataclasses
import functools
import os
import shutil
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf import addons
from avssl_tf.evaluation.alignment import view_features
from avssl_tf.evaluation.alignment.binary_alignment import AVCBin, AVSABin
from avssl_tf.evaluation.alignment.view_features import ViewFeatures
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from tests import test_base, tiny_alignment

_FAST = {"num_epochs": 8, "hidden_units": 64, "learning_rate": 3e-3, "without_translation": False}


class ScoresTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # A network whose translation changes nothing.
    cls.encoder = dataclasses.replace(
      Encoder.of_model(tiny_alignment.built_network(), tiny_alignment.CLIP, 8000, 4),
      translate=lambda features: {
        "translated": {"audio": features["video"], "video": features["audio"]}
      },
    )

  def views(self, count=800, signal=1.0, noise=0.4):
    """Views with a feature whose sign matches the right audio, but not the rotated audio."""
    sign = self.rng.choice([-1.0, 1.0], [count, 3, 1])
    video, audio, turned = (
      np.concatenate(
        [factor * sign + noise * self.rng.normal(size=[count, 3, 1]),
         self.rng.normal(size=[count, 3, 2])], axis=-1,
      ).astype(np.float32)
      for factor in (signal, signal, -signal)
    )  # fmt: skip
    return ViewFeatures(video, audio, turned, np.zeros([count, 3], np.int64))

  def test_finds_what_is_there(self):
    train, test = self.views(), self.views(200)
    found = AVSABin(num_viewpoints=(1, 3), **_FAST).scores(self.encoder, train, test)
    self.assertEqual(list(found), ["avsa_bin_1", "avsa_bin_3"])
    self.assertGreater(found["avsa_bin_1"], 0.9)
    # A clip has three chances.
    self.assertGreater(found["avsa_bin_3"], found["avsa_bin_1"])

  def test_a_legacy_optimizer(self):
    settings = {**_FAST, "num_epochs": 1, "optimizer": addons.LAMB}
    found = AVSABin(num_viewpoints=(1,), **settings).scores(
      self.encoder, self.views(32), self.views(8)
    )
    self.assertBetween(found["avsa_bin_1"], 0, 1)

  def test_sounds_of_other_clips(self):
    # Mismatched audio agrees with a view half of the time: the accuracy is 3/4 for single views and
    # higher for the mean logits of three views.
    found = AVCBin(num_viewpoints=(1, 3), **_FAST).scores(
      self.encoder, self.views(), self.views(200)
    )
    self.assertBetween(found["avc_bin_1"], 0.65, 0.8)
    self.assertGreater(found["avc_bin_3"], 0.8)

  def test_chance_where_there_is_nothing(self):
    found = AVSABin(num_viewpoints=(3,), **_FAST).scores(
      self.encoder, self.views(signal=0.0), self.views(400, signal=0.0)
    )
    self.assertBetween(found["avsa_bin_3"], 0.43, 0.57)

  def test_everybody_gets_another_sound(self):
    views = self.views(50)
    wrong = AVCBin().wrong_sounds(views, seed=3)
    source = [int(np.flatnonzero((views.audio == row).all(axis=(1, 2)))[0]) for row in wrong]
    self.assertEqual(sorted(source), list(range(50)))
    self.assertNotIn(True, [i == j for i, j in enumerate(source)])
    with self.assertRaisesRegex(ValueError, "needs two clips"):
      AVCBin().wrong_sounds(self.views(1), seed=0)

  def test_a_single_view_never_gets_a_sound_of_its_own_clip(self):
    number = np.repeat(np.float32(np.arange(40))[:, np.newaxis, np.newaxis], 3, axis=1)
    views = ViewFeatures(number, number, None, np.zeros([40, 3], np.int64))
    seen = []

    def accuracy(protocol, train, test):
      seen.extend(part[0] for part in (train, test))
      return 0.5

    with mock.patch.object(AVCBin, "_accuracy", accuracy):
      AVCBin(num_viewpoints=(1,), **_FAST).scores(self.encoder, views, views)
    for inputs in seen:
      right, wrong = np.split(inputs[:, 0], 2)
      self.assert_shape(right, [120, 2])
      self.assertAllEqual(right[:, 0], right[:, 1])
      self.assertTrue(np.all(wrong[:, 0] != wrong[:, 1]))

  def test_without_translation_the_picture_itself_is_looked_at(self):
    # A translation that discards all information.
    blind = dataclasses.replace(
      self.encoder,
      translate=lambda features: {"translated": {"audio": 0 * features["video"]}},
    )
    settings = {**_FAST, "without_translation": True, "num_viewpoints": (1,)}
    found = AVSABin(**settings).scores(blind, self.views(), self.views(200))
    self.assertLess(found["avsa_bin_1"], 0.6)
    self.assertGreater(found["avsa_bin_1_no_translation"], 0.9)

  def test_other_views_in_each_epoch(self):
    settings = {**_FAST, "redraws": True, "classifier_clips": 16, "num_viewpoints": (1, 3)}
    for task, least in ((AVCBin, 0.65), (AVSABin, 0.9)):
      protocol = task(**settings, milestone_epochs=(6,))
      drawn = [self.views(400, noise=0.2) for _ in range(8)]
      found = protocol._scores_of_draws(self.encoder, drawn, self.views(200, noise=0.2))
      self.assertEqual(list(found), [f"{task.name}_1", f"{task.name}_3"])
      self.assertGreater(found[f"{task.name}_3"], least)

  def test_each_clip_is_part_of_one_pair(self):
    for count, rows in ((1, 300), (3, 100)):
      chosen = [AVSABin(redraws=True)._one_of_two(rows, 3, count, epoch) for epoch in (0, 1)]
      self.assertAllEqual(chosen[0] % rows, np.arange(rows))
      self.assertNotAllEqual(*chosen)
      wrong = (chosen[0] >= rows).reshape(100, -1)
      self.assertAllEqual(wrong.min(axis=1), wrong.max(axis=1))
      self.assertBetween(wrong.mean(), 0.35, 0.65)

  def test_the_same_twice(self):
    train, test = self.views(100), self.views(50)
    protocol = AVSABin(num_viewpoints=(1,), **_FAST)
    self.assertEqual(
      protocol.scores(self.encoder, train, test), protocol.scores(self.encoder, train, test)
    )

  def test_bad_settings(self):
    with self.assertRaisesRegex(ValueError, "AVCBin.num_epochs is 0; expected 1 or more"):
      AVCBin(num_epochs=0)
    with self.assertRaisesRegex(ValueError, "AVSABin.dropout is 1.5; expected 0..1"):
      AVSABin(dropout=1.5)
    with self.assertRaisesRegex(ValueError, "AVSABin.classifier_clips is 0; expected 1 or more"):
      AVSABin(classifier_clips=0)
    with self.assertRaisesRegex(ValueError, "AVCBin.milestone_epochs is .9,.; expected increasing"):
      AVCBin(milestone_epochs=(9,), num_epochs=9)


class ProtocolTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, folder)
    cls.data_dir = tiny_alignment.make_data(os.path.join(folder, "data"))

    def make_model(trained=True):
      assert not trained
      return tiny_alignment.built_network()

    cls.encoder = Encoder.of_model(
      tiny_alignment.built_network(), tiny_alignment.CLIP, 8000, 4, make_model
    )

  def test_trained_and_untrained(self):
    results = Results(os.path.join(self.get_temp_dir(), f"{self.id()}.json"), {})
    for task in (AVCBin, AVSABin):
      protocol = functools.partial(task, num_epochs=1, batch_size=8)
      with self.assertRaisesRegex(ValueError, "clips have 3 viewpoints; expected 1, 3 or both"):
        protocol(num_viewpoints=(1, 4))(self.encoder, self.data_dir, results, "")
    protocol(num_viewpoints=(1, 3))(self.encoder, self.data_dir, results, "")
    names = [f"avsa_bin_{n}{s}" for n in (1, 3) for s in ("", "_no_translation")]
    for part in ("trained", "untrained"):
      self.assertEqual(list(results.get(part)), names)
      # Accuracies over 8 test clips, or their 24 views, each with matching and mismatched audio.
      for name, value in results.get(part).items():
        right = value * (16 if "_3" in name else 48)
        self.assertAlmostEqual(right, round(right), places=4)
    same_classifier = protocol(num_viewpoints=(1, 3), untrained=False)
    again = Results(os.path.join(self.get_temp_dir(), f"{self.id()}-again.json"), {})
    same_classifier(self.encoder, self.data_dir, again, "")
    views = [
      view_features.extract(self.encoder, self.data_dir, split, 1, 8, turned=True)
      for split in ("train", "test")
    ]
    self.assertEqual(again.get("trained"), same_classifier.scores(self.encoder, *views))

  def test_redraws(self):
    seeds = []
    extract = view_features.extract

    def noted(*arguments):
      seeds.append(arguments[2::5])  # Split and seed.
      return extract(*arguments)

    protocol = AVSABin(
      num_epochs=2, batch_size=8, redraws=True, classifier_clips=4, milestone_epochs=(1,),
      test_windows_per_clip=2, untrained=False, seed=5,
    )  # fmt: skip
    results = Results(os.path.join(self.get_temp_dir(), f"{self.id()}.json"), {})
    with mock.patch.object(view_features, "extract", noted):
      protocol(self.encoder, self.data_dir, results, "")
    self.assertEqual(seeds, [("test", None), ("train", 5), ("train", 6)])
    self.assertEqual(set(results.get("trained")), {
      f"avsa_bin_{n}{s}" for n in (1, 3) for s in ("", "_no_translation")
    })  # fmt: skip

  def test_drawn_views_follow_from_their_seed(self):
    def extract(seed, turned=True):
      return view_features.extract(
        self.encoder, self.data_dir, "test", turned=turned, random_seed=seed
      )

    first, again, other = extract(3), extract(3), extract(4)
    for name in ("video", "audio", "wrong"):
      self.assertAllEqual(getattr(first, name), getattr(again, name))
      self.assertNotAllClose(getattr(first, name), getattr(other, name))
    self.assertGreater(np.abs(first.wrong - first.audio).max(axis=-1).min(), 1e-3)

  def test_turned_sound_is_turned_and_nothing_else(self):
    views = view_features.extract(self.encoder, self.data_dir, "test", turned=True)
    self.assert_shape(views.wrong, [8, 3, 8], tf.float32)
    self.assertGreater(np.abs(views.wrong - views.audio).max(axis=-1).min(), 1e-3)
    again = view_features.extract(self.encoder, self.data_dir, "test")
    self.assertIsNone(again.wrong)
    single = views.single_views()
    self.assert_shape(single.video, [24, 1, 8])
    self.assertAllEqual(single.audio[4, 0], views.audio[1, 1])
    self.assertAllEqual(single.labels[4, 0], views.labels[1, 1])


if __name__ == "__main__":
  tf.test.main()
