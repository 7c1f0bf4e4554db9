"""Tests of linear classification of the stages of a frozen network."""

import unittest

import numpy as np

from avssl_tf.evaluation.classifiers.kinetics_linear import KineticsLinear
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import STAGES, Encoder
from tests import tiny_av_model, tiny_run

SETTINGS = dict(batch_size=8, num_epochs=1, milestone_epochs=(), windows_per_video=2)


class KineticsLinearTest(tiny_run.TestCase):

  def setUp(self):
    super().setUp()
    self.model = tiny_av_model.make()
    # As for a SavedModel, which cannot be trained.
    self.encoder = Encoder.of_model(
      self.model, tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1
    )
    self.results = Results(self.path("results.json"), {})

  def measure(self, **settings):
    protocol = KineticsLinear(**{**SETTINGS, **settings})
    protocol(self.encoder, self.data_dir, self.results, self.path("work"))
    return self.results.get("fold1")

  def test_measures_each_stage_and_leaves_the_network_alone(self):
    before = [v.numpy() for v in self.model.variables]
    found = self.measure(pools={"conv3x": (1, 2, 2), "conv5x": (1, 4, 4)})
    kinds = [f"{kind}_top{k}" for kind in ("clip", "video") for k in (1, 5)]
    expected = {f"{stage}_{kind}" for stage in ("conv3x", "conv5x") for kind in kinds}
    self.assertEqual(set(found), expected)
    for old, new in zip(before, self.model.variables):
      np.testing.assert_array_equal(old, new)

  def test_published_settings(self):
    protocol = KineticsLinear()
    self.assertEqual(set(protocol.pools), set(STAGES))
    # Published numbers of features, at the published width of each stage.
    features = [
      np.prod(protocol.pools[stage]) * width for stage, width in zip(STAGES, (64, 128, 256, 512))
    ]
    self.assertEqual(features, [9216, 8192, 9216, 8192])

  def test_unknown_stage(self):
    with self.assertRaisesRegex(ValueError, "pools names the stage 'conv9x'"):
      self.measure(pools={"conv9x": (1, 2, 2)})


if __name__ == "__main__":
  unittest.main()
