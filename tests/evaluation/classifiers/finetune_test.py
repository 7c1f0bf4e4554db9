"""Tests of fine-tuning and of the base class of protocols that train classifiers."""

import os
import unittest
from unittest import mock

from absl.testing import parameterized

from avssl_tf.data.records.dataset_info import DatasetInfo, Subset
from avssl_tf.evaluation.classifiers import classifier_training
from avssl_tf.evaluation.classifiers.finetune import Finetune
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from tests import tiny_av_model, tiny_run

# As short as possible.
SETTINGS = dict(
  batch_size=8,
  clips_per_video=1,
  classifier_epochs=1,
  num_epochs=1,
  milestone_epochs=(),
  num_frames=2,
  windows_per_video=2,
)


class FinetuneTest(tiny_run.TestCase, parameterized.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    info = DatasetInfo.load(cls.data_dir)
    info.subsets = {
      "train1": Subset("train", list(range(16))),
      "test1": Subset("train", list(range(16, 24))),
      "train2": Subset("train", list(range(8, 24))),
      "test2": Subset("train", list(range(8))),
    }
    info.save(cls.data_dir)

  def setUp(self):
    super().setUp()
    self.made = []
    self.encoder = self.make_encoder(self.make_model)
    self.results = Results(self.path("results.json"), {})

  def make_encoder(self, make_model):
    return Encoder.of_model(
      tiny_av_model.make(), tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1, make_model
    )

  def make_model(self, trained=True):
    self.made.append(trained)
    return tiny_av_model.make()

  def measure(self, **settings):
    protocol = Finetune(**{**SETTINGS, **settings})
    protocol(self.encoder, self.data_dir, self.results, self.path("work"))

  def test_measures_the_folds_that_are_missing(self):
    self.results.put("fold1", {"clip_top1": 0.5})
    self.measure()
    self.assertEqual(self.results.get("fold1"), {"clip_top1": 0.5})
    found = self.results.get("fold2")
    self.assertEqual(set(found), {"clip_top1", "clip_top5", "video_top1", "video_top5"})
    for kind in ("clip", "video"):
      self.assertLessEqual(found[f"{kind}_top1"], found[f"{kind}_top5"])
    self.assertEqual(self.made, [True])
    self.assertEqual(os.listdir(self.path("work")), [])
    self.measure()
    self.assertEqual(self.made, [True])

  def capture(self, **settings):
    """The arguments of the training on the first fold."""
    train = mock.patch.object(classifier_training, "train", side_effect=InterruptedError)
    with train as train, self.assertRaises(InterruptedError):
      self.measure(**settings)
    return train.call_args.args

  def test_phases(self):
    model, batches_from, steps_per_epoch, phases, folder, settings, title, _ = self.capture(
      clips_per_video=3, num_epochs=4, milestone_epochs=(2,), learning_rate=0.01, factor=0.5
    )
    self.assertEqual((steps_per_epoch, folder, title), (6, self.path("work/fold1"), "fold1"))
    self.assertEqual(settings["fold"], {"name": "fold1", "train": "train1", "test": "test1"})
    self.assertEqual([phase.num_epochs for phase in phases], [1, 4])
    self.assertEqual(list(phases[0].frozen), [model.video_net])
    self.assertEqual(list(phases[1].frozen), [])
    self.assertAlmostEqual(float(phases[0].optimizer.learning_rate), 0.01)
    schedule = phases[1].optimizer._learning_rate
    self.assertAlmostEqual(float(schedule(11)), 0.01)
    self.assertAlmostEqual(float(schedule(12)), 0.005)
    self.assertEqual(batches_from(0).element_spec["video"].shape, [8, 2, 16, 16, 3])
    self.assertEqual(self.made, [True])

  def test_warm_up_with_batch_norm_as_in_training(self):
    model, _, _, phases = self.capture(warmup_batch_norm=True)[:4]
    self.assertEqual(list(phases[0].frozen), [])
    with phases[0].meanwhile():
      self.assertEqual(len(model.trainable_variables), 2)
    self.assertGreater(len(model.trainable_variables), 2)
    self.measure(warmup_batch_norm=True, random_clips_per_video=3)
    self.assertEqual(set(self.results.get("fold2")), set(self.results.get("fold1")))

  def test_from_scratch(self):
    phases = self.capture(from_scratch=True)[3]
    self.assertEqual([phase.num_epochs for phase in phases], [0, 1])
    self.assertEqual(self.made, [False])

  @parameterized.parameters(
    ({"num_epochs": 0}, "Finetune.num_epochs is 0; expected 1 or more"),
    ({"milestone_epochs": (1,)}, "milestone_epochs is .1,.; expected increasing numbers in 1..0"),
    ({"milestone_epochs": (3, 2), "num_epochs": 9}, "expected increasing numbers in 1..8"),
    ({"dropout": 1.0}, "dropout is 1.0; expected 0 or more, and less than 1"),
    ({"random_clips_per_video": 0}, "random_clips_per_video is 0; expected 1 or more"),
    ({"learning_rate": 0.0}, "learning_rate is 0.0; expected more than 0"),
    ({"batch_size": 17}, "has 17 clips .* 'train1' has only 16"),
    ({"folds": (("train", "test3"),)}, "no split .*'test3'"),
    ({"num_frames": 100}, "last 1.5 s"),
  )
  def test_wrong_settings(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      self.measure(**settings)
    self.assertEqual(self.made, [])

  def test_not_of_a_saved_model(self):
    self.encoder = self.make_encoder(None)
    with self.assertRaisesRegex(ValueError, "A SavedModel cannot be fine-tuned: pass the folder"):
      self.measure()

  def test_needs_video(self):
    info = DatasetInfo.load(self.data_dir)
    info.modalities = ["audio"]
    load = mock.patch.object(DatasetInfo, "load", return_value=info)
    with load, self.assertRaisesRegex(ValueError, "contain audio, but no video"):
      self.measure()


if __name__ == "__main__":
  unittest.main()
