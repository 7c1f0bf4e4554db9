"""Tests of the embeddings of a split with thumbnails of its clips."""

import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.inference import features
from avssl_tf.inference.encoder import Encoder
from avssl_tf.report import clip_embeddings
from tests import test_base, tiny_alignment, tiny_run
from tests.data import toy_records


def _folder(test):
  folder = tempfile.TemporaryDirectory()
  test.addClassCleanup(folder.cleanup)
  return folder.name


class _MeanEncoder:
  """Embeds frames by their mean pixels, and audio by its first samples."""

  translate = None

  def embed_video(self, frames):
    return self._outputs(tf.reduce_mean(tf.cast(frames, tf.float32), axis=[1, 2, 3]))

  def embed_audio(self, waveform):
    return self._outputs(waveform[:, :3, 0] + 1.0)

  def video_maps(self, frames):
    raise NotImplementedError

  audio_maps = video_maps
  embed_video_positions = video_maps

  def _outputs(self, x):
    return {"features": x, "embedding": tf.math.l2_normalize(x, axis=-1)}


def _encoder(clip: ClipSpec, num_channels: int, sample_rate_hz: int = 8000) -> Encoder:
  return Encoder.of_model(_MeanEncoder(), clip, sample_rate_hz, num_channels)


class CollectTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data_dir = tiny_run.make_data(_folder(cls))

  def test_all_clips_in_order(self):
    encoder = _encoder(tiny_run.CLIP, 1)
    found = clip_embeddings.collect(encoder, self.data_dir, "test", batch_size=3)
    dataset = datasets.evaluation_dataset(self.data_dir, "test", tiny_run.CLIP, 8)
    (batch,) = dataset.as_numpy_iterator()
    expected = features.extract(encoder, dataset)
    self.assertLen(found, 8)
    self.assertEqual(list(found.ids), [key.decode() for key in batch["key"]])
    self.assertAllEqual(found.labels, batch["label"])
    self.assertEqual(
      found.label_texts, [found.label_names[label] for label in batch["label"]]
    )
    self.assertEqual(list(found.embeddings), ["video", "audio"])
    self.assertAllClose(found.embeddings["video"], expected.video_embeddings)
    self.assertAllClose(found.embeddings["audio"], expected.audio_embeddings)
    for modality in ("video", "audio"):
      self.assert_shape(found.thumbnails[modality], [8, 64, 64, 3], tf.uint8)
    # Of 16 x 16 pixels, larger.
    middle = batch["video"][:, 1].astype(float)
    averaged = found.thumbnails["video"].reshape(8, 16, 4, 16, 4, 3).mean(axis=(2, 4))
    self.assertLess(np.abs(averaged - middle).mean(), 10)
    distances = np.abs(averaged[:, np.newaxis] - middle).mean(axis=(2, 3, 4))
    self.assertAllEqual(distances.argmin(axis=1), np.arange(8))

  def test_some_clips_of_a_split_in_random_order(self):
    found = clip_embeddings.collect(_encoder(tiny_run.CLIP, 1), self.data_dir, "train", 3)
    everything = clip_embeddings.collect(_encoder(tiny_run.CLIP, 1), self.data_dir, "train")
    self.assertEqual(list(found.ids), [everything.ids[row] for row in (0, 1, 2)])
    for modality in ("video", "audio"):
      self.assertAllClose(
        found.embeddings[modality], everything.embeddings[modality][[0, 1, 2]]
      )
      self.assertAllEqual(
        found.thumbnails[modality], everything.thumbnails[modality][[0, 1, 2]]
      )

  def test_refused(self):
    for message, encoder, arguments in (
      ("count is 0", _encoder(tiny_run.CLIP, 1), ("test", 0)),
      ("has no split 'tset'", _encoder(tiny_run.CLIP, 1), ("tset",)),
      ("has 1 channels; the network requires 4", _encoder(tiny_run.CLIP, 4), ("test",)),
    ):
      with self.assertRaisesRegex(ValueError, message):
        clip_embeddings.collect(encoder, self.data_dir, *arguments)


class OtherDataTest(test_base.TestCase):

  def test_views_are_clips_of_their_own(self):
    data_dir = tiny_alignment.make_data(_folder(type(self)), num_train=1, num_test=4)
    encoder = _encoder(tiny_alignment.CLIP, 4)
    # 11 views are 3 clips of 3 views and no part of a fourth.
    found = clip_embeddings.collect(encoder, data_dir, "test", 11, batch_size=2)
    self.assertLen(found, 9)
    dataset = datasets.evaluation_dataset(
      data_dir, "test", tiny_alignment.CLIP, 8, max_records=3
    )
    (batch,) = dataset.as_numpy_iterator()
    keys = [key.decode() for key in batch["key"]]
    self.assertEqual(
      list(found.ids), [f"{key} view {view}" for key in keys for view in (1, 2, 3)]
    )
    self.assertAllEqual(found.labels, batch["view_label"].ravel())
    self.assertAllClose(
      found.embeddings["video"], features.extract(encoder, dataset).video_embeddings
    )
    self.assert_shape(found.thumbnails["video"], [9, 64, 64, 3], tf.uint8)
    # The audio of the views differs, although W is the same for all of them.
    self.assertAllEqual(batch["audio"][0, 0, :, 0], batch["audio"][0, 1, :, 0])
    sounds = found.thumbnails["audio"].astype(int)
    self.assertGreater(np.abs(sounds[0] - sounds[1]).mean(), 1)

  def test_one_modality_without_labels(self):
    for modality, other in (("video", "audio"), ("audio", "video")):
      with self.subTest(modality):
        data_dir = _folder(type(self))
        stored = [toy_records.record(index, modalities=[modality]) for index in range(4)]
        toy_records.write(data_dir, [stored], [modality])
        found = clip_embeddings.collect(
          _encoder(toy_records.CLIP, 2, toy_records.SAMPLE_RATE_HZ), data_dir, "train"
        )
        self.assertEqual(list(found.embeddings), [modality])
        self.assertNotIn(other, found.thumbnails)
        self.assertEqual(found.label_texts, [])
        self.assertAllEqual(found.labels, [-1] * 4)


class ThumbnailTest(test_base.TestCase):

  def test_middle_frame_of_any_size(self):
    frames = np.zeros([2, 3, 4, 128, 128, 3], np.uint8)
    frames[:, :, 2, :64] = 200
    found = clip_embeddings.video_thumbnails(frames)
    self.assert_shape(found, [6, 64, 64, 3])
    self.assertAllEqual(found[:, :32], np.full([6, 32, 64, 3], 200))
    self.assertAllEqual(found[:, 32:], np.zeros([6, 32, 64, 3]))

  def test_spectrogram(self):
    times = np.arange(8000) / 8000
    tones = np.sin(2 * np.pi * np.array([[200.0], [3000.0]]) * times)
    tones[0, 4000:] = 0  # The low one ends half-way.
    found = clip_embeddings.audio_thumbnails(
      tf.constant(tones[..., np.newaxis], tf.float32), 8000
    )
    bright = found.sum(axis=3) > 450
    rows = [np.nonzero(picture)[0].mean() for picture in bright]
    self.assertGreater(rows[0], 48)
    self.assertLess(rows[1], 16)
    self.assertFalse(bright[0, :, 36:].any())
    self.assertTrue(bright[1, :, 36:].any())
    silence = clip_embeddings.audio_thumbnails(tf.zeros([1, 8000, 1]), 8000)
    self.assertLess(silence.max(), 10)


if __name__ == "__main__":
  tf.test.main()
