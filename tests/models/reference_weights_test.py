"""Weights of the published checkpoints, and the golden numbers of the published networks."""

import json
import os

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf import spectrograms
from avssl_tf.models import (
  audio_net,
  av_model,
  front_end,
  projection,
  r2plus1d,
  reference_weights,
)
from tests import golden_arrays, test_base

_TESTDATA = os.path.join(os.path.dirname(os.path.dirname(__file__)), "testdata")


def _golden_state(network):
  with open(os.path.join(_TESTDATA, "avid_state_dict_shapes.json"), encoding="utf-8") as f:
    return {name: golden_arrays.weight(name, shape) for name, shape in json.load(f)[network]}


def _golden_input(name, shape):
  """Channels last, from channels first."""
  return np.moveaxis(golden_arrays.network_input(name, shape), 1, -1)


def _model(architecture, stem="avid"):
  # The heads' golden numbers are embeddings before normalisation: towers are called part by part.
  model = av_model.AudioVisualModel(
    front_end.VideoFrontEnd(),
    r2plus1d.R2Plus1D(architecture.depth, stage_widths=architecture.video_widths, stem=stem),
    projection.MLPHead(architecture.video_head_widths, name="video_head"),
    front_end.AudioFrontEnd(spectrograms.Spectrogram()),
    audio_net.AudioNet(stage_widths=architecture.audio_widths),
    projection.MLPHead(architecture.audio_head_widths, name="audio_head"),
  )
  model(
    {
      "video": tf.zeros([1, 1, 16, 16, 3], tf.uint8),
      "audio": tf.zeros([1, 2400, architecture.audio_channels]),
    }
  )
  return model


def _statistics(x):
  return [np.mean(x), np.std(x, ddof=1), np.max(np.abs(x))]


def _num_trainable(layer):
  return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


class GoldenNumbersTest(test_base.TestCase, parameterized.TestCase):

  def assert_relative(self, actual, expected, tolerance=1e-4):
    """Largest difference relative to the largest expected magnitude."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    self.assertEqual(actual.shape, expected.shape)
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    self.assertLess(error, tolerance)

  @parameterized.parameters(("avid_r2plus1d18", "d18"), ("avid_r2plus1d10", "d10"))
  def test_published_networks(self, network, key):
    state = _golden_state(network)
    model = _model(reference_weights.architecture(state))
    reference_weights.assign(reference_weights.model_variables(model), state)
    golden = np.load(os.path.join(_TESTDATA, "avid_models.npz"))

    parts = (model.video_net, model.audio_net, model.video_head, model.audio_head)
    with self.subTest("parameter counts"):
      self.assertAllEqual([_num_trainable(part) for part in parts], golden[f"{key}/n_params"])

    towers = (
      ("video", _golden_input("video", (2, 3, 8, 64, 64)), model.video_net, model.video_head),
      ("audio", _golden_input("audio", (2, 1, 200, 257)), model.audio_net, model.audio_head),
    )
    for modality, x, net, head in towers:
      maps = net(x)
      for stage in ("conv1", "conv2x", "conv3x", "conv4x", "conv5x"):
        name = f"{key}/{modality}/{stage}/mean_std_abs"
        if name in golden.files:
          with self.subTest(name):
            self.assertAllClose(_statistics(maps[stage]), golden[name], rtol=1e-4, atol=0)
      with self.subTest(f"{modality} features"):
        self.assert_relative(maps["pooled"], golden[f"{key}/{modality}/pool"])
      with self.subTest(f"{modality} embedding"):
        self.assert_relative(head(maps["pooled"]), golden[f"{key}/{modality}_emb"])
      with self.subTest(f"{modality} embedding, batch statistics"):
        embedding = head(net(x, training=True)["pooled"], training=True)
        self.assert_relative(embedding, golden[f"{key}/train_{modality}_emb"])


def _small_model(**kwargs):
  return _model(
    reference_weights.Architecture(
      **{
        "depth": 10,
        "video_widths": (4, 6, 8, 10),
        "audio_widths": (3, 5, 7, 9),
        "audio_channels": 1,
        "video_head_widths": (6, 5),
        "audio_head_widths": (8, 7, 5),
        **kwargs,
      }
    )
  )


def _state_of(model):
  """State dict in PyTorch's layout with the weights of `model`."""
  state = {}
  for name, variable in reference_weights.model_variables(model).items():
    value = variable.numpy()
    if value.ndim > 1:
      value = np.moveaxis(value, (-1, -2), (0, 1))
    state[name] = value
  return state


class ReferenceWeightsTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.parameters(10, 18, 34)
  def test_architecture_is_read_off_the_weights(self, depth):
    model = _small_model(depth=depth, audio_channels=4)
    found = reference_weights.architecture(_state_of(model))
    expected = reference_weights.Architecture(
      depth, (4, 6, 8, 10), (3, 5, 7, 9), 4, (6, 5), (8, 7, 5)
    )
    self.assertEqual(found, expected)

  def test_every_variable_of_the_towers_has_a_name(self):
    model = _small_model()
    named = {id(v) for v in reference_weights.model_variables(model).values()}
    front_ends = {id(v) for v in model.audio_front_end.variables}
    self.assertEqual(named, {id(v) for v in model.variables} - front_ends)

  def test_names_are_those_of_the_published_state_dict(self):
    with open(os.path.join(_TESTDATA, "avid_state_dict_shapes.json"), encoding="utf-8") as f:
      published = dict(json.load(f)["avid_r2plus1d10"])
    model = _small_model()
    expected = {n for n in published if reference_weights.ignored_reason(n) is None}
    # Heads of the small model have other depths.
    head = ("video_proj", "audio_proj")
    self.assertEqual(
      {n for n in reference_weights.model_variables(model) if not n.startswith(head)},
      {n for n in expected if not n.startswith(head)},
    )

  def test_assign_restores_what_was_changed(self):
    model = _small_model()
    state = {name: self.rng.random(v.shape) for name, v in _state_of(model).items()}
    reference_weights.assign(reference_weights.model_variables(model), state)
    restored = _state_of(model)
    for name, value in state.items():
      self.assertAllClose(restored[name], value, msg=name)

  def test_missing_left_over_and_misshapen_entries_are_errors(self):
    model = _small_model()
    variables = reference_weights.model_variables(model)
    before = _state_of(model)
    state = {**before, "video_proj.projection.0.bias": before["video_proj.projection.0.bias"] + 1}
    with self.assertRaisesRegex(ValueError, "extra.weight: no counterpart in the model"):
      reference_weights.assign(variables, {**state, "extra.weight": np.zeros(3)})
    name = "audio_model.conv1.0.weight"
    with self.assertRaisesRegex(ValueError, f"{name}: missing in the checkpoint"):
      reference_weights.assign(variables, {n: v for n, v in state.items() if n != name})
    with self.assertRaisesRegex(ValueError, f"{name}: shape "):
      reference_weights.assign(variables, {**state, name: np.zeros((3, 1, 5, 5))})
    self.assertAllEqual(
      _state_of(model)["video_proj.projection.0.bias"], before["video_proj.projection.0.bias"]
    )

  def test_prefix_of_data_parallel_wrappers(self):
    state = {"module.a.weight": 1, "b.module.weight": 2}
    self.assertEqual(
      reference_weights.without_module_prefix(state), {"a.weight": 1, "b.module.weight": 2}
    )

  def test_objective_of_both_methods(self):
    banks = self.rng.random((2, 6, 4)).astype(np.float32)
    avid = {
      "nce_average.view1_mem": banks[0],
      "nce_average.view2_mem": banks[1],
      "criterion.avg_exp_score": np.array([3.5], np.float32),
    }
    cma = {**avid, "nce_average.positive_set": np.zeros((6, 2), np.int32)}
    for state in (avid, cma):
      found = reference_weights.objective(state)
      self.assertAllEqual(found.video_bank, banks[0])
      self.assertAllEqual(found.audio_bank, banks[1])
      self.assertEqual(found.normalizer, 3.5)

  def test_constant_not_yet_estimated_is_zero(self):
    bank = np.ones((2, 3), np.float32)
    state = {
      "nce_average.view1_mem": bank,
      "nce_average.view2_mem": bank,
      "criterion.avg_exp_score": np.float32(-1),
    }
    self.assertEqual(reference_weights.objective(state).normalizer, 0)
    # One constant a term: only those of terms that were in use count.
    several = {"a.avg_exp_score": 2.0, "b.avg_exp_score": np.array([4.0]), **state}
    self.assertEqual(reference_weights.objective(several).normalizer, 3)

  def test_incomplete_objectives_are_errors(self):
    bank = np.ones((2, 3), np.float32)
    with self.assertRaisesRegex(ValueError, "NCE constants"):
      reference_weights.objective({"nce_average.view1_mem": bank})
    with self.assertRaisesRegex(ValueError, "view2_mem"):
      reference_weights.objective({"nce_average.view1_mem": bank, "c.avg_exp_score": 1.0})
    with self.assertRaisesRegex(ValueError, r"\(2, 3\) and \(3, 3\)"):
      reference_weights.objective(
        {
          "nce_average.view1_mem": bank,
          "nce_average.view2_mem": np.ones((3, 3), np.float32),
          "c.avg_exp_score": 1.0,
        }
      )


if __name__ == "__main__":
  tf.test.main()
