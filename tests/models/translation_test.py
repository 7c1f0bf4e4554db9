"""Tests of feature translation against the reference system."""

import functools
import json
import os

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.losses import avsa
from avssl_tf.models import projection, translation
from tests import golden_arrays, test_base

_TESTDATA = os.path.join(os.path.dirname(__file__), "..", "testdata")
_DIRECTIONS = {"video": "v2a_transformer", "audio": "a2v_transformer"}
_HEADS = {
  "video": "video_head",
  "audio": "audio_head",
  "video_prediction": "video_pred_head",
  "audio_prediction": "audio_pred_head",
}


def _reference_model(num_heads, dropout=0.0):
  """The published model with the golden weights."""
  model = translation.FeatureTranslation(
    head=functools.partial(projection.MLPHead, (128,)),
    transformer=functools.partial(
      translation.Transformer, num_heads=num_heads, dropout=dropout
    ),
  )
  zeros = tf.zeros([1, 4, 512])
  model({"video": zeros, "audio": zeros})
  kind = "single_head" if num_heads == 1 else "multi_head"
  with open(os.path.join(_TESTDATA, "avsa_state_dict_shapes.json"), encoding="utf-8") as f:
    state = {name: golden_arrays.weight(name, shape) for name, shape in json.load(f)[kind]}
  used = set()

  def assign(variables, name):
    for variable, last in zip(variables, ("weight", "bias")):
      # PyTorch keeps [out, in]; Keras splits the heads off.
      variable.assign(np.reshape(state[f"{name}.{last}"].T, variable.shape))
      used.add(f"{name}.{last}")

  for query, direction in _DIRECTIONS.items():
    for i, block in enumerate(model.transformers[query].blocks):
      prefix = f"{direction}.transformer.{i}"
      query_key_value_dense = block.attention.weights
      for j, part in enumerate(("query", "key", "value", "dense")):
        assign(query_key_value_dense[2 * j : 2 * j + 2], f"{prefix}.attention.{part}")
      assign(block.attention_norm.weights, f"{prefix}.attention_norm")
      assign(block.hidden.weights, f"{prefix}.dense.0")
      assign(block.output_dense.weights, f"{prefix}.dense.2")
      assign(block.dense_norm.weights, f"{prefix}.dense_norm")
  for ours, theirs in _HEADS.items():
    assign(model.heads[ours].weights, f"{theirs}.projection.0")
  assert used == set(state), set(state) - used
  assert len(model.weights) == len(state)
  return model


class GoldenTest(test_base.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.golden = np.load(os.path.join(_TESTDATA, "avsa_loss.npz"))
    shape = [*self.golden["B_V"], 512]
    self.features = {
      "video": tf.constant(golden_arrays.network_input("emb_v", shape)),
      "audio": tf.constant(golden_arrays.network_input("emb_a", shape)),
    }

  @parameterized.product(num_heads=(1, 8), contrast=("easy+hard", "hard", "avc"))
  def test_losses_gradients_and_accuracies(self, num_heads, contrast):
    model = _reference_model(num_heads)
    prefix = f"{'single_head' if num_heads == 1 else 'multi_head'}/{contrast}"
    with tf.GradientTape() as tape:
      tape.watch(self.features)
      outputs = model(self.features, training=True, pool=contrast == "avc")
      losses, accuracies = {}, {}
      for modality in ("video", "audio"):
        predictions = outputs["prediction"][modality]
        losses[modality], accuracies[modality] = avsa.alignment_loss(
          *avsa.similarities(predictions, outputs["target"][modality], temperature=0.07),
          avsa.choices(contrast, predictions.shape[1]),
        )
      loss = (losses["video"] + losses["audio"]) / 2
    gradients = tape.gradient(loss, self.features)
    self.assertAllClose(loss, self.golden[f"{prefix}/loss"], rtol=1e-5)
    for modality, letter, direction in (("video", "v", "A2V"), ("audio", "a", "V2A")):
      self.assertAllClose(losses[modality], self.golden[f"{prefix}/Loss/{direction}"], rtol=1e-5)
      difference = np.abs(
        tf.reduce_sum(gradients[modality], axis=-1) - self.golden[f"{prefix}/grad_{letter}"]
      )
      if num_heads == 1 and modality == "audio":
        # A hidden unit of clip 1 is 9e-7 from 0, so the output of ReLU depends on rounding.
        self.assertLess(difference[1].max(), 1e-3)
        difference[1] = 0.0
      self.assertLess(difference.max(), 1e-6)
      if contrast == "easy+hard":
        for ours, theirs in (("clip", "AVC-Acc"), ("viewpoint", "AVSA-Acc")):
          self.assertAllClose(
            100 * accuracies[modality][f"accuracy/{ours}"],
            self.golden[f"{prefix}/Metrics/{direction}/{theirs}"],
          )

  @parameterized.parameters(1, 8)
  def test_translated_features(self, num_heads):
    kind = "single_head" if num_heads == 1 else "multi_head"
    predicted = _reference_model(num_heads, dropout=0.1).translate(self.features)["audio"]
    self.assertAllClose(
      tf.reduce_sum(predicted, axis=-1), self.golden[f"{kind}/audio_pred_sum"], rtol=1e-4
    )
    self.assertAllClose(
      predicted[..., :32], self.golden[f"{kind}/audio_pred_first32"], rtol=1e-4, atol=1e-5
    )


class TranslationTest(test_base.TestCase):

  def test_starts_as_the_identity_when_normalised_before(self):
    transformer = translation.Transformer(depth=3, num_heads=4, normalization="pre")
    x = tf.constant(self.rng.normal(size=[2, 4, 8]), tf.float32)
    self.assertAllEqual(transformer(x), x)
    # And yet everything can learn from the second step on at the latest.
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(transformer(x) ** 2)
    moving = [
      variable.name
      for variable, gradient in zip(
        transformer.trainable_variables, tape.gradient(loss, transformer.trainable_variables)
      )
      if np.any(gradient)
    ]
    for name in ("attention_gain", "output/kernel"):
      self.assertTrue(any(name in variable for variable in moving), moving)

  def test_viewpoints_see_each_other_and_no_other_clip(self):
    for normalization in translation.NORMALIZATIONS:
      transformer = translation.Transformer(num_heads=2, normalization=normalization)
      x = self.rng.normal(size=[2, 3, 8]).astype(np.float32)
      transformer(x)
      for block in transformer.blocks:
        for weight in block.weights:
          weight.assign(self.rng.normal(size=weight.shape))
      changed = x.copy()
      changed[0, 0] += self.rng.normal(size=8)
      difference = np.abs(transformer(changed) - transformer(x)).max(axis=-1)
      self.assertAllGreater(difference[0], 1e-3)
      self.assertAllEqual(difference[1], np.zeros(3))

  def test_drops_out_in_training_alone(self):
    for normalization in translation.NORMALIZATIONS:
      transformer = translation.Transformer(1, dropout=0.5, normalization=normalization)
      x = tf.constant(self.rng.normal(size=[20, 3, 8]), tf.float32)
      self.assertAllEqual(transformer(x), transformer(x))
      for variable in transformer.trainable_variables:
        variable.assign_add(tf.random.normal(variable.shape))
      seeds = tf.constant([[1, 2], [1, 3]])
      first, second = (transformer(x, training=True, seed=seed) for seed in seeds)
      self.assertAllEqual(first, transformer(x, training=True, seed=seeds[0]))
      self.assertNotAllClose(first, second)
      self.assertNotAllClose(first, transformer(x))
      with self.assertRaisesRegex(ValueError, "requires a seed in training"):
        transformer(x, training=True)

  def test_either_direction_drops_out_something_else(self):
    model = translation.FeatureTranslation(
      functools.partial(projection.MLPHead, (3,)),
      functools.partial(translation.Transformer, 2, dropout=0.5),
    )
    same = tf.ones([2, 4, 8])
    model({"video": same, "audio": same})
    for one, other in zip(model.transformers["video"].weights, model.transformers["audio"].weights):
      other.assign(one)
    found = model.translate({"video": same, "audio": same}, training=True, seed=tf.constant([1, 2]))
    self.assertNotAllClose(found["video"], found["audio"])

  def test_without_transformers_predicts_from_the_same_viewpoint(self):
    model = translation.FeatureTranslation(
      head=functools.partial(projection.MLPHead, (3,))
    )
    features = {
      m: tf.constant(self.rng.normal(size=[2, 4, 5]), tf.float32) for m in ("video", "audio")
    }
    outputs = model(features)
    self.assertEqual(model.embedding_dim, 3)
    self.assert_shape(outputs["prediction"]["audio"], [2, 4, 3], tf.float32)
    self.assertAllClose(tf.norm(outputs["target"]["video"], axis=-1), np.ones([2, 4]))
    self.assertAllEqual(model.translate(features)["audio"], features["video"])
    pooled = model(features, pool=True)["target"]["video"]
    self.assert_shape(pooled, [2, 1, 3])
    head = model.heads["video"](tf.reduce_max(features["video"], axis=1))
    self.assertAllClose(pooled[:, 0], tf.math.l2_normalize(head, axis=-1))

  def test_one_head_a_modality(self):
    model = translation.FeatureTranslation(
      head=functools.partial(projection.MLPHead, (3,)), shared_heads=True
    )
    features = {
      m: tf.constant(self.rng.normal(size=[2, 1, 5]), tf.float32) for m in ("video", "audio")
    }
    outputs = model(features)
    self.assertLen(model.trainable_variables, 4)
    for modality, other in (("video", "audio"), ("audio", "video")):
      own = model.heads[modality](features[modality][:, 0])
      target = tf.math.l2_normalize(own, axis=-1)
      self.assertAllClose(outputs["target"][modality][:, 0], target)
      # The prediction of the other modality is the projection by the shared head.
      self.assertAllClose(outputs["prediction"][other][:, 0], target)

  def test_bad_settings(self):
    with self.assertRaisesRegex(ValueError, "shared_heads is True.*transformer = None"):
      translation.FeatureTranslation(
        functools.partial(projection.MLPHead, (3,)), translation.Transformer, shared_heads=True
      )
    with self.assertRaisesRegex(ValueError, "depth is 0; expected 1 or more"):
      translation.Transformer(depth=0)
    with self.assertRaisesRegex(ValueError, "'before'; expected one of post, pre"):
      translation.Transformer(normalization="before")
    with self.assertRaisesRegex(ValueError, "10 dimensions cannot be divided among 4 att"):
      translation.Transformer(num_heads=4)(tf.zeros([1, 2, 10]))


if __name__ == "__main__":
  tf.test.main()
