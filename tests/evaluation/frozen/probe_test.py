"""Tests of the probe on a data set whose classes are the mean colour and the loudest channel."""

from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import datasets
from avssl_tf.evaluation.frozen import probe
from avssl_tf.training import run_probe
from tests import test_base

_NUM_CLASSES = 3
_METRICS = [
  "probe/linear_video",
  "probe/linear_video_top5",
  "probe/knn_video",
  "probe/linear_audio",
  "probe/linear_audio_top5",
  "probe/knn_audio",
]
_RETRIEVAL = [
  f"probe/retrieval_{direction}r{k}"
  for direction in ("audio_to_video_", "video_to_audio_", "")
  for k in (1, 5, 10)
]


class _Model(tf.Module):
  """Mean colour of the frames, and mean power of the channels."""

  def embed_video(self, frames, training=False):
    del training
    pooled = tf.reduce_mean(tf.cast(frames, tf.float32), axis=[1, 2, 3]) / 255
    return {"features": pooled, "embedding": tf.math.l2_normalize(pooled, axis=-1)}

  def embed_audio(self, waveform, training=False):
    del training
    pooled = tf.reduce_mean(tf.square(waveform), axis=1)
    return {"features": pooled, "embedding": tf.math.l2_normalize(pooled, axis=-1)}


class _Collapsed(_Model):
  """Returns the same for every input."""

  def embed_video(self, frames, training=False):
    return tf.nest.map_structure(tf.ones_like, super().embed_video(frames, training))

  def embed_audio(self, waveform, training=False):
    return tf.nest.map_structure(tf.ones_like, super().embed_audio(waveform, training))


class ProbeTest(test_base.TestCase):
  def setUp(self):
    super().setUp()
    self.labelled = True
    self.splits = []
    self.folders = set()
    self.enter_context(mock.patch.object(datasets, "evaluation_dataset", self._dataset))
    info = mock.Mock(is_shuffled=True)
    info.num_clips = lambda split: 60 if split.startswith("train") else 30
    self.enter_context(mock.patch.object(probe.DatasetInfo, "load", return_value=info))

  def _dataset(self, data_dir, split, clip, batch_size, windows_per_clip=1, max_records=None):
    """60 training and 30 test clips; class i has colour i and sounds on channel i."""
    self.folders.add(data_dir)
    self.splits.append(split)
    count = min(60 if split.startswith("train") else 30, max_records or 60)
    index = np.repeat(np.arange(count), windows_per_clip)
    label = index % _NUM_CLASSES
    unit = np.eye(_NUM_CLASSES)[label]
    shape = (len(index), clip.num_frames, clip.frame_size, clip.frame_size, 3)
    video = np.broadcast_to((40 + 100 * unit)[:, None, None, None], shape)
    video = video + self.rng.normal(scale=10, size=shape)
    audio = (0.1 + unit[:, None]) * self.rng.normal(size=(len(index), 80, _NUM_CLASSES))
    content = {
      "video": video.clip(0, 255).astype(np.uint8),
      "audio": audio.astype(np.float32),
      "index": index,
      "label": label if self.labelled else np.full(len(index), -1),
    }
    return tf.data.Dataset.from_tensor_slices(content).batch(batch_size)

  def _run(self, model, **kwargs):
    clip = datasets.ClipSpec(num_frames=2, frame_size=4)
    return probe.Probe(batch_size=16, **kwargs)(model, "data", clip)

  def test_finds_what_the_features_hold(self):
    result = self._run(_Model())
    self.assertCountEqual(result, _METRICS + _RETRIEVAL)
    for name in _METRICS:
      self.assertEqual(result[name], 1.0, name)
    # A gallery of 30 clips has 10 of a class.
    self.assertGreater(result["probe/retrieval_audio_to_video_r10"], 0.9)
    self.assertBetween(result["probe/retrieval_video_to_audio_r1"], 0, 0.3)
    for value in result.values():
      self.assertIsInstance(value, float)

  def test_collapsed_model_scores_at_chance(self):
    result = self._run(_Collapsed())
    for name in ("linear_video", "linear_audio", "knn_video", "knn_audio"):
      self.assertAllClose(result[f"probe/{name}"], 1 / _NUM_CLASSES, msg=name)
    for k in (1, 5, 10):
      self.assertAllClose(result[f"probe/retrieval_r{k}"], k / 30)

  def test_windows_of_a_clip_count_once(self):
    result = self._run(_Collapsed(), windows_per_clip=4)
    self.assertAllClose(result["probe/retrieval_r1"], 1 / 30)

  def test_gallery_size(self):
    result = self._run(_Collapsed(), gallery_size=20)
    self.assertAllClose(result["probe/retrieval_r1"], 1 / 20)

  def test_records_of_its_own(self):
    self._run(_Model())
    self.assertEqual(self.folders, {"data"})
    self.folders.clear()
    self._run(_Model(), data_dir="clean")
    self.assertEqual(self.folders, {"clean"})

  def test_number_of_training_clips_is_limited_and_stated(self):
    result = self._run(_Model(), max_train_clips=30)
    self.assertCountEqual(result, [*_METRICS, *_RETRIEVAL, "probe/num_train_clips"])
    self.assertEqual(result["probe/num_train_clips"], 30)
    self.assertIn("; classifiers trained on 30 clips", run_probe.summary(result))
    self.assertNotIn("probe/num_train_clips", self._run(_Model(), max_train_clips=60))
    with self.assertRaisesRegex(ValueError, "Probe.max_train_clips is 0; expected 1 or more"):
      self._run(_Model(), max_train_clips=0)

  def test_splits(self):
    self._run(_Model(), train_split="train[:40]", test_split="train[40:]")
    self.assertCountEqual(self.splits, ["train[:40]", "train[40:]"])

  def test_without_labels_retrieval_stays(self):
    self.labelled = False
    with self.assertLogs("absl", "INFO") as logs:
      result = self._run(_Model())
    self.assertCountEqual(result, _RETRIEVAL)
    self.assertIn("has no labels", "".join(logs.output))


class TableTest(test_base.TestCase):
  def test_columns_line_up_and_gaps_show(self):
    text = probe.table(
      {
        "raw input": {"probe/knn_video": 0.137},
        "untrained": {"probe/knn_video": 0.1, "probe/retrieval_r5": 0.0061},
        "trained": {"probe/knn_video": 1.0, "probe/retrieval_r5": 0.56},
      }
    )
    self.assertEqual(
      text.splitlines(),
      [
        "%             raw input  untrained  trained",
        "knn_video          13.7       10.0    100.0",
        "retrieval_r5          -        0.6     56.0",
      ],
    )


if __name__ == "__main__":
  tf.test.main()
