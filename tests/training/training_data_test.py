"""Tests of the training clips: what data sets training takes."""

import dataclasses
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.training.training_data import TrainingData, zero_batch
from tests import test_base
from tests.data import toy_records


class TrainingDataTest(test_base.TestCase):
  def open(self, modalities):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    stored = [toy_records.record(index, modalities=modalities) for index in range(4)]
    toy_records.write(folder.name, [stored], modalities)
    return TrainingData(
      folder.name, "train", toy_records.CLIP, None, 2, 1, tf.distribute.get_strategy()
    )

  def test_clips_of_both_modalities(self):
    data = self.open(["video", "audio"])
    self.assertEqual((data.num_videos, data.steps_per_epoch), (4, 2))

  def test_data_of_one_modality_is_refused(self):
    for there, missing in (("video", "audio"), ("audio", "video")):
      with self.assertRaisesRegex(ValueError, f"have no {missing}.*needs clips of both"):
        self.open([there])


class ZeroBatchTest(test_base.TestCase):

  def test_clips_of_all_kinds(self):
    clip = ClipSpec(num_frames=3, frame_size=8, audio_sec=0.5, panorama=True)
    plain = zero_batch(clip, 1000, 4)
    self.assertEqual(sorted(plain), ["audio", "video"])
    self.assert_shape(plain["video"], [2, 3, 8, 16, 3], tf.uint8)
    self.assert_shape(plain["audio"], [2, 500, 4], tf.float32)
    moving = zero_batch(dataclasses.replace(clip, flow=True), 1000, 4)
    self.assertEqual(sorted(moving), ["audio", "flow", "video"])
    # Nothing moves.
    self.assertAllEqual(moving["flow"], np.full([2, 3, 8, 16, 3], 128))
    self.assertEqual(moving["flow"].dtype, tf.uint8)


if __name__ == "__main__":
  tf.test.main()
