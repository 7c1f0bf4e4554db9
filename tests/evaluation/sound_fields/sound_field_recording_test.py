"""Tests of the metrics of sound fields on a real recording in first-order ambisonics."""

import os

import numpy as np
import tensorflow as tf
from scipy.io import wavfile

from avssl_tf.evaluation.sound_fields import sound_field_baselines as baselines
from avssl_tf.evaluation.sound_fields import sound_field_scores
from avssl_tf.spatial import ambisonics, directions
from tests import source_tree, test_base

_RECORDING = os.path.join(str(source_tree.ROOT), "tests", "testdata", "foa_acn_sn3d_48k.wav")


class RecordingTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.rate_hz, samples = wavfile.read(_RECORDING)
    self.field = samples.astype(np.float32) / 32768.0
    self.tracks = np.zeros([10, 8, 3])

  def measure(self, method, field=None):
    field = self.field if field is None else field
    clip = baselines.Clip(field, self.tracks, self.rate_hz, np.array([0.0, 0.0, 0.5]))
    prediction = field if method is None else method(clip)
    return sound_field_scores.measure(field, prediction, self.tracks, self.rate_hz)

  def test_the_recording_itself_is_perfect(self):
    found = self.measure(None)
    self.assertLess(found["error_ratio"], 1e-9)
    self.assertAllClose(found["map_correlation"], 1.0)
    for name in ("stft_distance", "envelope_distance", "mean_squared_error", "emd_dir_distance"):
      self.assertLess(found[name], 1e-6, name)

  def test_guesses_of_its_own_w(self):
    silence, copied, prior, vector = (
      self.measure(method)
      for method in (
        baselines.Silence(), baselines.MonoCopied(), baselines.SpatialPrior(),
        baselines.OracleVector(),
      )
    )  # fmt: skip
    self.assertAllClose(silence["error_ratio"], 1.0)
    # The source is at the front, within the 2 degrees of the grid: X is W, Y and Z are faint.
    self.assertGreater(copied["error_ratio"], 1.5)
    self.assertGreater(copied["loudest_deg"], 40.0)
    self.assertLess(vector["loudest_deg"], 4.0)
    self.assertLess(vector["error_ratio"], 0.2)
    self.assertLess(vector["error_ratio"], prior["error_ratio"])
    self.assertLess(prior["error_ratio"], 1.0)
    # The best single direction beats silence and copies by all metrics of the paper, too.
    for name in ("stft_distance", "envelope_distance", "mean_squared_error", "emd_dir2_distance"):
      self.assertLess(vector[name], silence[name], name)
      self.assertLess(vector[name], copied[name], name)
    self.assertGreater(vector["signal_to_noise_db"], copied["signal_to_noise_db"])

  def test_turned_with_everything_all_scores_stay(self):
    turned = ambisonics.rotate(self.field, directions.rotation(tf.constant(2.0))).numpy()
    found, expected = self.measure(baselines.OracleVector(), turned), self.measure(
      baselines.OracleVector()
    )
    for name in ("error_ratio", "mean_squared_error", "stft_distance"):
      self.assertAllClose(found[name], expected[name], rtol=1e-3)


if __name__ == "__main__":
  tf.test.main()
