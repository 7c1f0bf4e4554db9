"""Tests of the data sets that training accepts."""

import tempfile

import tensorflow as tf

from avssl_tf.training.training_data import TrainingData
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
      with self.assertRaisesRegex(ValueError, f"have no {missing}.*requires video and audio"):
        self.open([there])


if __name__ == "__main__":
  tf.test.main()
