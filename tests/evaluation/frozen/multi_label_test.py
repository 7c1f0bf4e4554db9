"""Tests of the multi-label metrics against slow implementations."""

import math
import os
import shutil
import statistics
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data import clip_content
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation.classifiers import classifier_training
from avssl_tf.evaluation.classifiers.finetune import Finetune
from avssl_tf.evaluation.classifiers.kinetics_linear import KineticsLinear
from avssl_tf.evaluation.frozen import multi_label
from avssl_tf.evaluation.frozen.linear_probe import LinearProbe
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from tests import test_base, tiny_av_model
from tests.data import toy_records


def _average_precision(scores, labels):
  """Mean precision at each positive; equal scores share a rank."""
  total, positives = 0.0, sum(labels)
  for threshold in sorted(set(scores), reverse=True):
    found = [label for score, label in zip(scores, labels) if score >= threshold]
    new = [label for score, label in zip(scores, labels) if score == threshold]
    total += sum(new) / positives * sum(found) / len(found)
  return total


def _area(scores, labels):
  """How often a positive scores higher than a negative; ties count half."""
  wins, pairs = 0.0, 0
  for score, label in zip(scores, labels):
    for other, other_label in zip(scores, labels):
      if label and not other_label:
        wins += 1.0 if score > other else 0.5 if score == other else 0.0
        pairs += 1
  return wins / pairs


class ScoresTest(test_base.TestCase):

  def test_against_slow_oracle(self):
    labels = self.rng.random((40, 6)) < [0.5, 0.1, 0.0, 0.9, 1.0, 0.3]
    predicted = np.round(labels + self.rng.normal(0, 1.0, (40, 6)), 1)  # With ties.
    kept = [c for c in range(6) if 0 < labels[:, c].sum() < 40]
    self.assertEqual(kept, [0, 1, 3, 5])
    columns = [(predicted[:, c].tolist(), labels[:, c].tolist()) for c in kept]
    areas = [_area(*column) for column in columns]
    found = multi_label.scores(predicted, labels, "x_")
    self.assertAllClose(
      found,
      {
        "x_map": np.mean([_average_precision(*column) for column in columns]),
        "x_auc": np.mean(areas),
        "x_d_prime": math.sqrt(2) * statistics.NormalDist().inv_cdf(np.mean(areas)),
        "x_left_out_classes": 2.0,
      },
      rtol=1e-6,
    )

  def test_a_single_class_and_a_perfect_ranking(self):
    labels = np.array([[False], [True], [True]])
    found = multi_label.scores(np.array([[0.1], [0.2], [0.3]]), labels)
    self.assertEqual((found["map"], found["auc"]), (1.0, 1.0))
    self.assertBetween(found["d_prime"], 8.0, 9.0)
    self.assertAllClose(multi_label.d_prime(0.5), 0.0)

  def test_nothing_to_measure(self):
    with self.assertRaisesRegex(ValueError, "None of the 3 classes has both"):
      multi_label.scores(np.zeros([2, 3]), np.zeros([2, 3], bool))
    with self.assertRaisesRegex(ValueError, "NaN or infinite"):
      multi_label.scores(np.full([2, 1], np.nan), np.array([[True], [False]]))


class ProtocolsTest(test_base.TestCase):
  """Records with several labels each, which their colours determine."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, cls.folder)
    rng = np.random.default_rng(0)
    cls.labels = rng.random((64, 3)) < 0.5
    cls.labels[60] = False  # Clips without a class are ignored.
    shard = []
    for i, classes in enumerate(cls.labels):
      frames = np.where(classes, 220, 40) + rng.integers(-20, 20, (20, 24, 24, 3))
      content = clip_content.Content(
        frames=frames.astype(np.uint8), timestamps_us=np.arange(20) * 100_000, waveform=None
      )
      names = tuple(name for name, has in zip(toy_records.LABELS, classes) if has)
      shard.append(toy_records.encode(i, content, labels=names))
    toy_records.write(cls.folder, [shard], (keys.VIDEO,))
    info = DatasetInfo.load(cls.folder)
    info.label_names, info.build = list(toy_records.LABELS), {"source": "audioset"}
    info.save(cls.folder)

  def measure(self, protocol):
    encoder = Encoder.of_model(
      tiny_av_model.make(), tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1,
      lambda trained: tiny_av_model.make(),
    )  # fmt: skip
    folder = os.path.join(self.get_temp_dir(), self.id())
    results = Results(os.path.join(folder, "results.json"), {})
    protocol(encoder, self.folder, results, os.path.join(folder, "work"))
    return results

  def test_all_labels_of_records(self):
    for dataset in (
      datasets.evaluation_dataset(
        self.folder, "train", toy_records.CLIP, 16, all_labels=True
      ),
      datasets.training_dataset(
        self.folder, "train", toy_records.CLIP, None, 16, 0, all_labels=True
      ).take(3),
    ):
      for batch in dataset:
        self.assertAllEqual(batch[keys.LABELS], self.labels[batch[keys.INDEX].numpy()])

  def test_linear_probe(self):
    results = self.measure(LinearProbe(folds=(("train[:40]", "train[40:]"),)))
    found = results.get("fold1")
    self.assertEqual(
      set(found), {f"linear_video_{n}" for n in ("map", "auc", "d_prime", "left_out_classes")}
    )
    self.assertGreater(found["linear_video_auc"], 0.9)
    self.assertGreater(found["linear_video_map"], 0.9)
    self.assertRegex(results.table(), r"linear_video_left_out_classes +0")

  def test_fine_tuning(self):
    results = self.measure(
      Finetune(
        folds=(("train[:40]", "train[40:]"),), batch_size=8, clips_per_video=4, num_frames=4,
        classifier_epochs=0, num_epochs=6, milestone_epochs=(), learning_rate=1e-2, dropout=0.0,
        augmentation=None, windows_per_video=2, random_clips_per_video=2,
      )
    )  # fmt: skip
    found = results.get("fold1")
    names = ("map", "auc", "d_prime", "left_out_classes")
    self.assertEqual(set(found), {f"{kind}_{n}" for kind in ("clip", "video") for n in names})
    self.assertGreater(found["video_auc"], 0.9)

  def test_kinetics_linear(self):
    results = self.measure(
      KineticsLinear(
        folds=(("train[:40]", "train[40:]"),), batch_size=8, num_epochs=1, milestone_epochs=(),
        augmentation=None, windows_per_video=1, pools={"conv4x": (1, 1, 1), "conv5x": (1, 1, 1)},
      )
    )  # fmt: skip
    self.assertIn("conv5x_video_map", results.get("fold1"))


class LossTest(test_base.TestCase):

  def test_binary_cross_entropies_of_labelled_clips(self):
    labels = np.array([[True, False, True], [False, False, False], [False, True, False]])
    logits = self.rng.normal(0, 2, (3, 3)).astype(np.float32)
    expected = []
    for row in (0, 2):
      p = 1 / (1 + np.exp(-logits[row].astype(np.float64)))
      expected.append(np.mean([-math.log(q if has else 1 - q) for q, has in zip(p, labels[row])]))
    found = classifier_training._cross_entropy(tf.constant(labels), tf.constant(logits))
    self.assertAllClose(tf.reduce_mean(found), np.mean(expected), rtol=1e-5)


if __name__ == "__main__":
  tf.test.main()
