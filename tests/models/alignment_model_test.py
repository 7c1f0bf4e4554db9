"""Tests of the model of 360° clips: views one by one, and what is made of them together."""

import numpy as np
import tensorflow as tf

from avssl_tf.keys import AUDIO, MODALITIES, VIDEO
from tests import test_base, tiny_alignment


class AlignmentModelTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.model = tiny_alignment.built_network()
    self.batch = tiny_alignment.random_batch(self.rng)

  def test_views_go_through_the_towers_one_by_one(self):
    found = self.model.view_features(self.batch)
    for modality in MODALITIES:
      self.assert_shape(found[modality], [4, 3, 8], tf.float32)
      for view in range(3):
        embed = getattr(self.model, f"embed_{modality}")
        expected = embed(self.batch[modality][:, view])["features"]
        self.assertAllClose(found[modality][:, view], expected, rtol=1e-4, atol=1e-5)

  def test_targets_are_the_embeddings_of_single_views(self):
    outputs = self.model(self.batch)
    for modality in MODALITIES:
      self.assert_shape(outputs["target"][modality], [4, 3, 4], tf.float32)
      embedding = getattr(self.model, f"embed_{modality}")(self.batch[modality][:, 1])["embedding"]
      self.assertAllClose(outputs["target"][modality][:, 1], embedding, rtol=1e-4, atol=1e-5)
      length = np.linalg.norm(outputs["prediction"][modality], axis=-1)
      self.assertAllClose(length, np.ones([4, 3]), atol=1e-5)

  def test_predictions_follow_from_the_other_modality_alone(self):
    before = self.model(self.batch)["prediction"]
    changed = {**self.batch, AUDIO: self.batch[AUDIO] * tf.random.uniform([4, 3, 2400, 4])}
    after = self.model(changed)["prediction"]
    self.assertAllEqual(before[AUDIO], after[AUDIO])  # From the video.
    self.assertNotAllClose(before[VIDEO], after[VIDEO])

  def test_translate_is_what_the_call_makes_of_features(self):
    outputs = self.model(self.batch)
    found = self.model.translate(self.model.view_features(self.batch))
    for kind in ("target", "prediction"):
      for modality in MODALITIES:
        self.assertAllClose(found[kind][modality], outputs[kind][modality])
    self.assert_shape(found["translated"][AUDIO], [4, 3, 8], tf.float32)

  def test_any_number_of_clips_and_views_in_graph(self):
    function = tf.function(
      lambda video, audio: self.model({VIDEO: video, AUDIO: audio}),
      input_signature=[
        tf.TensorSpec([None, None, 2, 16, 16, 3], tf.uint8),
        tf.TensorSpec([None, None, 2400, 4]),
      ],
    )
    for clips, views in ((4, 3), (2, 2)):
      batch = [self.batch[m][:clips, :views] for m in MODALITIES]
      found = function(*batch)["prediction"][AUDIO]
      expected = self.model(dict(zip(MODALITIES, batch)))["prediction"][AUDIO]
      self.assertAllClose(found, expected, rtol=1e-4, atol=1e-5)

  def test_variables_are_listed_once_and_all_have_a_gradient(self):
    with tf.GradientTape() as tape:
      outputs = self.model(self.batch, training=True)
      # Something that depends on all of them, and is no constant as lengths are.
      loss = tf.reduce_sum(tf.stack([*outputs["target"].values()])[..., 0])
      loss += tf.reduce_sum(tf.stack([*outputs["prediction"].values()])[..., 0])
    variables = self.model.trainable_variables
    self.assertLen({id(v) for v in variables}, len(variables))
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
      self.assertIsNotNone(gradient, variable.name)



if __name__ == "__main__":
  tf.test.main()
