"""Tests of the classifiers on video networks."""

import numpy as np
import tensorflow as tf

from avssl_tf.evaluation.classifiers import video_classifier
from tests import test_base, tiny_av_model

_POOLS = {"conv2x": (1, 3, 3), "conv5x": (1, 4, 4)}


class FramesOfTest(test_base.TestCase):

  def test_sound_is_as_long_as_the_frames(self):
    clip = video_classifier.frames_of(tiny_av_model.CLIP, num_frames=12, frame_size=32)
    self.assertEqual((clip.num_frames, clip.frame_size, clip.frame_rate_hz), (12, 32, 8.0))
    self.assertEqual((clip.audio_sec, clip.video_sec, clip.max_offset_sec), (1.5, 1.5, 0.0))
    self.assertTrue(clip.repeat_frames)

  def test_frames_as_they_were(self):
    clip = video_classifier.frames_of(tiny_av_model.CLIP)
    self.assertEqual((clip.num_frames, clip.frame_size), (4, 16))


class NetworkClassifierTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.network = tiny_av_model.make()
    self.model = video_classifier.NetworkClassifier(self.network, num_classes=5, dropout=0.5)
    self.frames = tiny_av_model.frames(self.rng, 6)
    self.model(self.frames)
    self.model.compile(optimizer=tf.keras.optimizers.SGD())
    self.model.optimizer.build(self.model.trainable_variables)

  def moving_statistics(self):
    return [v.numpy() for v in self.model.video_net.variables if "moving" in v.name]

  def test_logits_against_numpy(self):
    features = self.network.embed_video(self.frames)["features"].numpy()
    kernel, bias = self.model.classifiers["pooled"].get_weights()
    self.assertAllClose(self.model(self.frames)["pooled"], features @ kernel + bias, atol=1e-5)

  def test_learns_the_video_network_and_the_classifier(self):
    trained = {id(v) for v in self.model.trainable_variables}
    expected = self.network.video_net.trainable_variables
    expected = expected + self.model.classifiers["pooled"].trainable_variables
    self.assertEqual(trained, {id(v) for v in expected})

  def test_frozen_network_works_as_in_inference(self):
    before = self.moving_statistics()
    self.model.video_net.trainable = False
    self.assertLen(self.model.trainable_variables, 2)
    self.model(self.frames, training=True)
    for old, new in zip(before, self.moving_statistics()):
      self.assertAllEqual(old, new)
    self.model.video_net.trainable = True
    self.model(self.frames, training=True)
    for old, new in zip(before, self.moving_statistics()):
      self.assertNotAllEqual(old, new)

  def test_classifier_alone_on_a_network_that_works_as_in_training(self):
    labels = tf.constant([0, 1, 2, 3, 4, 0])
    self.model.compile(
      optimizer=tf.keras.optimizers.SGD(0.1),
      loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    weights = [v.numpy() for v in self.model.video_net.trainable_variables]
    classifier = self.model.classifiers["pooled"].get_weights()
    before = self.moving_statistics()
    with self.model.classifier_alone():
      self.assertLen(self.model.trainable_variables, 2)
      self.model.fit(self.frames, labels, batch_size=6, epochs=1, verbose=0)
    for old, variable in zip(weights, self.model.video_net.trainable_variables):
      self.assertAllEqual(old, variable)
    for old, new in zip(before, self.moving_statistics()):
      self.assertNotAllEqual(old, new)
    self.assertNotAllClose(classifier[0], self.model.classifiers["pooled"].get_weights()[0])
    self.assertEqual(self.model.video_net.trainable, True)
    self.assertGreater(len(self.model.trainable_variables), 2)

  def test_dropout_follows_the_step(self):
    self.model.video_net.trainable = False
    classifier = self.model.classifiers["pooled"]
    classifier.build([None, 32])
    classifier.set_weights([np.eye(32, 5, dtype=np.float32), np.zeros(5, np.float32)])
    features = self.network.embed_video(self.frames)["features"].numpy()[:, :5]
    first = self.model(self.frames, training=True)["pooled"].numpy()
    kept = first != 0
    self.assertBetween(int(kept.sum()), 5, 25)
    self.assertAllClose(first[kept], 2 * features[kept], rtol=1e-5)
    self.assertAllEqual(self.model(self.frames, training=True)["pooled"], first)
    self.model.optimizer.iterations.assign_add(1)
    self.assertNotAllEqual(self.model(self.frames, training=True)["pooled"], first)


class StageClassifiersTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.network = tiny_av_model.make()
    self.frames = tiny_av_model.frames(self.rng, 6)

  def make(self, pools):
    return video_classifier.StageClassifiers(self.network.video_maps, pools, (4, 16, 16, 3), 5)

  def test_logits_against_numpy(self):
    model = self.make(_POOLS)
    model(self.frames)
    maps = self.network.video_maps(self.frames)
    # A map of 4 x 4 x 4 with three overlapping bins per axis; one of 1 x 1 x 1 is not pooled.
    self.assertEqual(maps["conv2x"].shape[1:4], [4, 4, 4])
    self.assertEqual(model.pools, {"conv2x": (1, 3, 3), "conv5x": (1, 1, 1)})
    conv2x = maps["conv2x"].numpy().max(axis=1, keepdims=True)
    bins = [slice(0, 2), slice(1, 3), slice(2, 4)]
    rows = np.stack([conv2x[:, :, b].max(axis=2) for b in bins], axis=2)
    pooled = {
      "conv2x": np.stack([rows[:, :, :, b].max(axis=3) for b in bins], axis=3),
      "conv5x": maps["conv5x"].numpy(),
    }
    for training in (False, True):
      found = model(self.frames, training=training)
      self.assertEqual(set(found), set(_POOLS))
      for name, values in pooled.items():
        flat = values.reshape(6, -1)
        if training:
          flat = (flat - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + 1e-5)
        else:
          flat = flat / np.sqrt(1 + 1e-5)
        kernel, bias = model.classifiers[name].get_weights()
        self.assertAllClose(found[name], flat @ kernel + bias, rtol=1e-3, atol=1e-3)

  def test_the_network_does_not_learn(self):
    model = self.make(_POOLS)
    before = [v.numpy() for v in self.network.variables]
    with tf.GradientTape() as tape:
      loss = tf.add_n([tf.reduce_sum(x**2) for x in model(self.frames, training=True).values()])
    watched = tape.watched_variables()
    gradients = tape.gradient(loss, self.network.video_net.trainable_variables)
    self.assertEqual(gradients, [None] * len(gradients))
    self.assertLen(model.trainable_variables, 8)
    self.assertContainsSubset({v.ref() for v in model.trainable_variables},
                              {v.ref() for v in watched})
    for old, new in zip(before, self.network.variables):
      self.assertAllEqual(old, new)

  def test_maps_of_unknown_size(self):
    """Maps of a SavedModel that accepts frames of any size."""
    spec = tf.TensorSpec([None] * 4 + [3], tf.uint8)
    maps = tf.function(lambda frames: self.network.video_maps(frames), input_signature=[spec])
    model = video_classifier.StageClassifiers(maps, _POOLS, (4, 16, 16, 3), 5)
    run = tf.function(model, input_signature=[tf.TensorSpec([None, 4, 16, 16, 3], tf.uint8)])
    self.assert_shape(run(self.frames)["conv2x"], [6, 5])

  def test_wrong_pools(self):
    with self.assertRaisesRegex(ValueError, "stage 'conv6x'; expected some of conv1, conv2x"):
      self.make({"conv6x": (1, 1, 1)})
    with self.assertRaisesRegex(ValueError, r"pools\['conv2x'\] is \(1, 0, 2\)"):
      self.make({"conv2x": (1, 0, 2)})


if __name__ == "__main__":
  tf.test.main()
