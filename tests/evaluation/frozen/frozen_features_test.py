"""Tests of the base class of protocols on frozen features, on records of the demo world."""

import dataclasses
import os
import shutil
import unittest
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records import dataset_info
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.evaluation.frozen.knn import KNN
from avssl_tf.evaluation.frozen.linear_probe import LinearProbe
from avssl_tf.evaluation.frozen.retrieval import Retrieval
from avssl_tf.evaluation.results import Results
from avssl_tf.inference import features as features_lib
from avssl_tf.inference.encoder import Encoder
from tests import tiny_run

_CLIP = dataclasses.replace(tiny_run.CLIP, sample_rate_hz=8000)


def _embed_video(frames):
  pooled = tf.reduce_mean(tf.cast(frames, tf.float32), axis=[1, 2])
  pooled = tf.reshape(pooled, [-1, _CLIP.frame_size * 3])
  return {"features": pooled, "embedding": tf.math.l2_normalize(pooled[:, :6], axis=-1)}


def _embed_audio(waveform):
  pooled = tf.reduce_mean(tf.abs(tf.reshape(waveform, [-1, 6, 400])), axis=2)
  return {"features": pooled, "embedding": tf.math.l2_normalize(pooled, axis=-1)}


def make_encoder(clip: ClipSpec = _CLIP, num_channels: int = 1) -> Encoder:
  """An encoder that averages colours over columns, and loudness over parts of the audio."""
  return Encoder(
    clip, 8000, num_channels, _embed_video, _embed_audio, _embed_video, _embed_audio, _embed_video
  )


class ProtocolCase(tiny_run.TestCase):
  """A test case with an encoder, and results in a folder of the test."""

  def setUp(self):
    super().setUp()
    self.encoder = make_encoder()
    self.results = Results(self.path("results.json"), {})

  def change(self, **changes):
    """A data set with another description of the same records; returns its folder."""
    info = dataset_info.DatasetInfo.load(self.data_dir)
    folder = self.path("data")
    os.mkdir(folder)
    for name in os.listdir(self.data_dir):
      os.symlink(os.path.join(self.data_dir, name), os.path.join(folder, name))
    os.remove(os.path.join(folder, dataset_info.FILE_NAME))
    dataclasses.replace(info, **changes).save(folder)
    return folder

  def with_folds(self):
    """The data set with two folds whose parts overlap."""
    return self.change(
      subsets={
        "train1": dataset_info.Subset("train", list(range(16))),
        "test1": dataset_info.Subset("train", list(range(16, 24))),
        "train2": dataset_info.Subset("train", list(range(8, 24))),
        "test2": dataset_info.Subset("train", list(range(8))),
      }
    )

  def measure(self, protocol, data_dir=None, encoder=None):
    """Runs a protocol."""
    protocol(encoder or self.encoder, data_dir or self.data_dir, self.results, self.path("work"))

  def refused(self, message, protocol, data_dir=None, encoder=None):
    """Checks that a protocol ends with a `ValueError` before it has read any clip."""
    with no_reading(), self.assertRaisesRegex(ValueError, message):
      self.measure(protocol, data_dir, encoder)


def no_reading():
  """Context in which extracting features fails."""
  return mock.patch.object(features_lib, "extract", side_effect=AssertionError("read clips"))


class SplitFeaturesTest(ProtocolCase):

  def make(self, data_dir, modalities=("video", "audio"), windows_per_clip=1):
    """Features of the records in `data_dir`."""
    info = dataset_info.DatasetInfo.load(data_dir)
    return frozen_features.SplitFeatures(
      self.encoder, data_dir, info, modalities, windows_per_clip, batch_size=5
    )

  def test_rows_are_those_of_the_pipeline(self):
    data_dir = self.with_folds()
    for windows in (1, 2):
      features = self.make(data_dir, windows_per_clip=windows)
      for name in ("test", "train[3:9]", "train2", "train2[2:5]", "test1"):
        dataset = datasets.evaluation_dataset(data_dir, name, _CLIP, 4, windows_per_clip=windows)
        expected = features_lib.extract(self.encoder, dataset, windows)
        for found in (features(name), features.extract(name)):
          self.assertEqual(found.keys.tolist(), expected.keys.tolist(), name)
          np.testing.assert_array_equal(found.labels, expected.labels)
          np.testing.assert_allclose(found.video_features, expected.video_features, rtol=1e-5)
          np.testing.assert_allclose(found.audio_embeddings, expected.audio_embeddings, rtol=1e-5)

  def test_folds_share_what_is_extracted(self):
    features = self.make(self.with_folds(), modalities=("audio",))
    with mock.patch.object(features_lib, "extract", wraps=features_lib.extract) as extract:
      for name in ("train1", "test1", "train2", "test2"):
        self.assertIsNone(features(name).video_features)
    self.assertEqual(extract.call_count, 1)


class ClassificationTest(ProtocolCase):

  def test_scores_of_the_whole_data(self):
    for protocol, names in (
      (KNN(num_neighbors=3), {"knn_video", "knn_audio"}),
      (
        LinearProbe(),
        {"linear_video", "linear_audio", "linear_video_top5", "linear_audio_top5"},
      ),
    ):
      self.results = Results(self.path(f"{type(protocol).__name__}.json"), {})
      self.measure(protocol)
      found = self.results.get("fold1")
      self.assertEqual(set(found), names)
      dataset = {
        split: features_lib.extract(
          self.encoder, datasets.evaluation_dataset(self.data_dir, split, _CLIP, 64)
        )
        for split in ("train", "test")
      }
      self.assertEqual(found, protocol.scores(dataset["train"], dataset["test"]))

  def test_folds_of_the_data(self):
    self.measure(KNN(num_neighbors=1, modalities=("video",)), self.with_folds())
    self.assertEqual(set(self.results.get("fold1")), {"knn_video"})
    self.assertEqual(set(self.results.get("fold2")), {"knn_video"})
    self.assertIsNone(self.results.get("fold3"))

  def test_learns_from_the_one_part_and_tests_on_the_other(self):
    # The nearest neighbour of a training clip is itself.
    self.measure(KNN(num_neighbors=1, folds=(("train", "train[:10]"),)))
    self.assertEqual(self.results.get("fold1"), {"knn_video": 1.0, "knn_audio": 1.0})

  def test_measures_only_what_is_missing(self):
    protocol, data_dir = KNN(), self.with_folds()
    self.measure(protocol, data_dir)
    first = self.results.get("fold2")
    self.results = Results(self.path("other.json"), {})
    self.results.put("fold1", {"knn_video": 0.123})
    self.measure(protocol, data_dir)
    self.assertEqual(self.results.get("fold1"), {"knn_video": 0.123})
    self.assertEqual(self.results.get("fold2"), first)
    with no_reading():
      self.measure(protocol, data_dir)

  def test_clips_without_a_label_are_left_out(self):
    protocol = KNN(num_neighbors=1)
    dataset = datasets.evaluation_dataset(self.data_dir, "train", _CLIP, 64)
    train = features_lib.extract(self.encoder, dataset)
    labels = np.where(np.arange(24) < 12, train.labels, -1)
    partly = dataclasses.replace(train, labels=labels)
    self.assertEqual(protocol.scores(partly, partly), {"knn_video": 1.0, "knn_audio": 1.0})
    some = train.rows(np.arange(12))
    self.assertEqual(protocol.scores(partly, train), protocol.scores(some, train))

  def test_data_without_labels(self):
    info = dataset_info.DatasetInfo.load(self.data_dir)
    splits = {
      name: [dataclasses.replace(s, labels=[-1] * len(s.labels)) for s in shards]
      for name, shards in info.splits.items()
    }
    data_dir = self.change(splits=splits)
    self.refused("24 of them without a label", KNN(), data_dir)
    self.refused("24 of them without a label", LinearProbe(), data_dir)
    shutil.rmtree(data_dir)
    self.refused("has 0 classes", KNN(), self.change(splits=splits, label_names=[]))

  def test_wrong_folds(self):
    self.refused("no split 'tset'", KNN(folds=(("train", "tset"),)))
    self.refused("'test\\[8:\\]' .* has 0 records", KNN(folds=(("train", "test[8:]"),)))

  def test_modalities(self):
    self.refused("expected some of", KNN(modalities=("vidoe",)))
    self.refused("expected some of", KNN(modalities=()))
    self.refused("requires 2. Build", KNN(), encoder=make_encoder(num_channels=2))
    self.measure(KNN(modalities=("video",)), encoder=make_encoder(num_channels=2))

  def test_records_of_one_modality(self):
    for modality, other in (("video", "audio"), ("audio", "video")):
      data_dir = self.change(modalities=[modality])
      self.refused(f"contain {modality}, but no {other}", KNN(modalities=(other,)), data_dir)
      self.refused(f"contain {modality}, but no {other}", Retrieval(), data_dir)
      self.results = Results(self.path(f"{modality}.json"), {})
      self.measure(KNN(), data_dir)
      self.assertEqual(set(self.results.get("fold1")), {f"knn_{modality}"})
      shutil.rmtree(data_dir)

  def test_settings_out_of_range(self):
    for name in ("windows_per_clip", "batch_size"):
      for protocol in (KNN, LinearProbe, Retrieval):
        with self.assertRaisesRegex(ValueError, f"{name} is 0; expected 1 or more"):
          protocol(**{name: 0})


class RetrievalTest(ProtocolCase):

  def test_scores(self):
    self.measure(Retrieval(split="train", gallery_size=20, ks=(1, 20)))
    found = self.results.get("train")
    self.assertEqual(
      set(found),
      {f"retrieval_{d}r{k}" for d in ("", "audio_to_video_", "video_to_audio_") for k in (1, 20)},
    )
    self.assertEqual(found["retrieval_r20"], 1.0)
    dataset = datasets.evaluation_dataset(self.data_dir, "train[:20]", _CLIP, 64)
    features = features_lib.extract(self.encoder, dataset)
    expected = [
      np.mean(np.argmax(one @ other.T, axis=1) == np.arange(20))
      for one, other in (
        (features.audio_embeddings, features.video_embeddings),
        (features.video_embeddings, features.audio_embeddings),
      )
    ]
    np.testing.assert_allclose(found["retrieval_r1"], np.mean(expected))

  def test_of_records_in_the_order_of_their_source_the_gallery_is_spread(self):
    labels = dataset_info.DatasetInfo.load(self.data_dir).records("train").labels
    data_dir = self.change(build={"source": "folder"})
    with mock.patch.object(features_lib, "extract", wraps=features_lib.extract) as extract:
      self.measure(Retrieval(split="train", gallery_size=8), data_dir)
    dataset = extract.call_args[0][1]
    found = [batch["index"].numpy() for batch in dataset]
    np.testing.assert_array_equal(np.concatenate(found), np.arange(0, len(labels), 3))

  def test_measures_once(self):
    self.measure(Retrieval())
    with no_reading():
      self.measure(Retrieval())

  def test_subsets_and_slices(self):
    data_dir = self.with_folds()
    for split in ("test1", "train2[:5]"):
      self.measure(Retrieval(split=split), data_dir)
      self.assertIsNotNone(self.results.get(split))

  def test_wrong_splits(self):
    self.refused("'test\\[8:\\]' .* is empty", Retrieval(split="test[8:]"))
    self.refused("no split 'tset'", Retrieval(split="tset"))

  def test_settings_out_of_range(self):
    with self.assertRaisesRegex(ValueError, "Retrieval.ks is"):
      Retrieval(ks=(0, 1))
    with self.assertRaisesRegex(ValueError, "gallery_size is 0"):
      Retrieval(gallery_size=0)


if __name__ == "__main__":
  unittest.main()
