"""Tests of segmentation: counts of pixels, masks of views, and that a pyramid learns."""

import functools
import os
import shutil
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf.data import clip_content
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.data.records import dataset_info, encoding, jpeg
from avssl_tf.evaluation.alignment import confusion_matrices, segmentation
from avssl_tf.evaluation.alignment.segmentation import Segmentation
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.models import fpn
from avssl_tf.training.optimization import optimizers
from tests import test_base, tiny_alignment, tiny_av_model, tiny_run

_PYRAMID = functools.partial(fpn.FeaturePyramid, pyramid_dim=8, head_dim=8, num_groups=2)


def _write_patches(folder):
  """360° records of large patches, of which the bright ones are class 1; returns the folder."""
  rng = np.random.default_rng(0)
  splits = {}
  for split, count in (("train", 16), ("test", 6)):
    name, ids = f"{split}-00000-of-00001.tfrecord", [f"{split}{n}@0.000" for n in range(count)]
    with tf.io.TFRecordWriter(os.path.join(folder, name)) as writer:
      for number in range(count):
        patches = (rng.uniform(size=(4, 8)) < 0.3).astype(np.uint8)
        mask = np.kron(patches, np.ones((16, 16), np.uint8))
        frames = np.where(mask[..., np.newaxis], np.uint8(220), np.uint8(40))
        content = clip_content.Content(
          frames=np.broadcast_to(frames, (8, 64, 128, 3)),
          timestamps_us=np.arange(8) * 125_000,
          waveform=rng.uniform(-0.5, 0.5, (8000, 4)).astype(np.float32),
          projection=clip_content.EQUIRECTANGULAR,
          masks=np.broadcast_to(mask, (8, 64, 128)),
        )
        planned = clip_content.PlannedClip(number, split, "", f"{split}{number}", (), 0, 1_000_000)
        record = encoding.encode_example(
          planned, content, "patches", 8.0, 8000, (), jpeg.JpegSettings()
        )
        writer.write(encoding.with_index(record, number))
    offsets = encoding.scan_offsets(os.path.join(folder, name))
    splits[split] = [dataset_info.Shard(name, offsets, ids, [-1] * count)]
  dataset_info.DatasetInfo(
    "patches", splits, 8.0, [64, 128], 8000, 4, 1.0, projection=clip_content.EQUIRECTANGULAR
  ).save(folder)
  return folder


class ScoresTest(test_base.TestCase):

  def test_counts_by_hand(self):
    truth = np.array([[0, 0, 1, -1], [1, 1, 2, 2]])
    predicted = np.array([[0, 1, 1, 0], [1, 0, 2, 2]])
    confusion = confusion_matrices.confusion_matrix(truth, predicted, 4)
    self.assertAllEqual(
      confusion, [[1, 1, 0, 0], [1, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    )
    found = confusion_matrices.scores(confusion)
    # Class 0: 1 of 3, class 1: 2 of 4, class 2: 2 of 2; class 3 does not occur.
    self.assertAllClose(found["mean_iou"], (1 / 3 + 2 / 4 + 1) / 3)
    self.assertAllClose(found["pixel_accuracy"], 5 / 7)

  def test_the_most_frequent_class_by_hand(self):
    confusion = np.array([[1, 1, 0], [0, 5, 2], [1, 0, 0]])
    found = confusion_matrices.most_frequent(confusion)
    self.assertAllEqual(found, [[0, 2, 0], [0, 7, 0], [0, 1, 0]])
    # Two classes are never predicted; the third for 7 of 10 pixels.
    self.assertAllClose(
      confusion_matrices.scores(found), {"mean_iou": 0.7 / 3, "pixel_accuracy": 0.7}
    )

  def test_classes_beyond_the_number(self):
    with self.assertRaisesRegex(ValueError, "has the class 5; Segmentation.num_classes is 4"):
      confusion_matrices.confusion_matrix(np.array([5, -1]), np.array([0, 0]), 4)

  def test_nothing_known(self):
    confusion = confusion_matrices.confusion_matrix(np.array([-1]), np.array([0]), 2)
    self.assertEqual(confusion_matrices.scores(confusion), {"mean_iou": 0.0, "pixel_accuracy": 0.0})


class ProtocolTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, folder)
    cls.data_dir = tiny_alignment.make_data(os.path.join(folder, "data"))
    cls.planar_dir = tiny_run.make_data(os.path.join(folder, "planar"), num_train=2)

  def setUp(self):
    super().setUp()
    self.encoder = Encoder.of_model(
      tiny_alignment.built_network(), tiny_alignment.CLIP, 8000, 4
    )

  def results(self, name="results"):
    return Results(os.path.join(self.get_temp_dir(), f"{self.id()}-{name}.json"), {})

  def protocol(self, **settings):
    return Segmentation(
      **{
        "num_classes": 17, "pyramid": _PYRAMID, "batch_size": 4, "num_epochs": 4,
        "learning_rate": 1e-2, "milestone_epochs": (), "augmentation": None, **settings,
      }
    )  # fmt: skip

  def test_learns_from_each_of_the_inputs(self):
    results = self.results()
    work_dir = os.path.join(self.get_temp_dir(), self.id())
    before = [v.numpy() for v in self.encoder.embed_video.__self__.variables]
    data_dir = _write_patches(tempfile.mkdtemp(dir=self.get_temp_dir()))
    protocol = self.protocol(num_classes=2, num_epochs=8, learning_rate=2e-2)
    protocol(self.encoder, data_dir, results, work_dir)
    # The baseline without input never predicts the rare class.
    alone = results.get(segmentation.MOST_FREQUENT)
    self.assertBetween(alone["pixel_accuracy"], 0.55, 0.85)
    self.assertAllClose(alone["mean_iou"], alone["pixel_accuracy"] / 2)
    for inputs in ("visual", "audio", "context"):
      found = results.get(inputs)
      self.assertEqual(set(found), {"mean_iou", "pixel_accuracy"})
      self.assertGreater(found["mean_iou"], alone["mean_iou"] + 0.1)
      self.assertGreater(found["pixel_accuracy"], alone["pixel_accuracy"])
    self.assertIn(segmentation.MOST_FREQUENT, results.table(with_mean=False))
    self.assertEqual(os.listdir(work_dir), [])
    # The network does not change.
    for old, variable in zip(before, self.encoder.embed_video.__self__.variables):
      self.assertAllEqual(old, variable)

  def test_other_views_to_learn_from_and_to_test_on(self):
    seen = {"train": [], "test": []}

    def spied(name):
      dataset = getattr(datasets, f"{name}_dataset")

      def noted(data_dir, split, clip, *arguments, **more):
        seen[split].append(clip.viewpoints)
        return dataset(data_dir, split, clip, *arguments, **more)

      return mock.patch.object(datasets, f"{name}_dataset", noted)

    views = {
      name: ViewpointSpec(count, horizontal_fov_deg=(width, width), aspect=(1.0, 1.0))
      for name, count, width in (("train", 2, 50.0), ("test", 4, 90.0))
    }
    protocol = self.protocol(
      inputs=("context",), num_epochs=1, optimizer=optimizers.Adam,
      **{f"{name}_viewpoints": spec for name, spec in views.items()},
    )  # fmt: skip
    with spied("training"), spied("evaluation"):
      work_dir = os.path.join(self.get_temp_dir(), self.id())
      protocol(self.encoder, self.data_dir, self.results(), work_dir)
    for name, spec in views.items():
      self.assertEqual(set(seen[name]), {spec})

  def test_the_model_sees_what_it_is_told(self):
    batch = tiny_alignment.random_batch(self.rng, 2)
    louder = {**batch, "audio": 3.0 * tf.roll(batch["audio"], 100, axis=2)}
    for inputs in segmentation.INPUTS:
      model = segmentation.SegmentationModel(self.encoder, _PYRAMID(num_classes=5), inputs, 16)
      found = model(batch)["segmentation"]
      self.assert_shape(found, [6, 16, 16, 5], tf.float32)
      hears = np.abs(found - model(louder)["segmentation"]).max() > 1e-6
      self.assertEqual(hears, inputs != "visual")
      self.assertLen(model.trainable_variables, len(model.classifiers["segmentation"].weights))

  def test_bad_input(self):
    ordinary = Encoder.of_model(
      tiny_av_model.make(), tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1
    )
    for encoder, data_dir, settings, message in (
      (ordinary, self.data_dir, {}, "requires a network of 360° clips"),
      (self.encoder, self.planar_dir, {}, "are of ordinary video"),
      (self.encoder, self.data_dir, {"num_classes": 2}, "Segmentation.num_classes is 2"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        self.protocol(**settings)(encoder, data_dir, self.results(), "")
    with self.assertRaisesRegex(ValueError, "inputs is .'smell',.; expected some of visual"):
      self.protocol(inputs=("smell",))
    with self.assertRaisesRegex(ValueError, "milestone_epochs is .5,.; expected increasing"):
      self.protocol(milestone_epochs=(5,))


if __name__ == "__main__":
  tf.test.main()
