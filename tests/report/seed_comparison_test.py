"""Tests of mean and spread over seeds."""

import numpy as np
from absl.testing import absltest

from avssl_tf.report import seed_comparison
from avssl_tf.report.seed_comparison import Statistic


class StatisticTest(absltest.TestCase):

  def test_is_the_sample_mean_and_standard_deviation(self):
    values = np.random.default_rng(0).uniform(size=5)
    found = Statistic.of(list(values))
    self.assertAlmostEqual(found.mean, np.mean(values))
    self.assertAlmostEqual(found.std, np.std(values, ddof=1))
    self.assertEqual(found.n, 5)

  def test_one_value_has_no_spread(self):
    self.assertEqual(Statistic.of([0.25]), Statistic(0.25, None, 1))
    self.assertEqual(Statistic.of([0.25]).text(100, 1, num_seeds=1), "25.0")


class LogTest(absltest.TestCase):

  def test_probes_are_the_first_and_the_last(self):
    log = [
      {"step": 0, "probe/knn_video": 0.1},
      {"step": 50, "loss": 3.0, "clips_per_sec": 10.0},
      {"step": 50, "probe/knn_video": 0.4},
      {"step": 100, "probe/knn_video": 0.8},
      {"step": 100, "loss": 1.0},
    ]
    self.assertEqual(seed_comparison.probes(log), ({"knn_video": 0.1}, {"knn_video": 0.8}))

  def test_unprobed_networks_have_no_probe(self):
    self.assertEqual(seed_comparison.probes([{"step": 10, "loss": 3.0}]), ({}, {}))
    self.assertEqual(seed_comparison.probes([{"step": 0, "probe/a": 0.5}]), ({"a": 0.5}, {}))

  def test_training_time_is_that_of_all_steps(self):
    log = [
      {"step": 0, "probe/knn_video": 0.1},
      {"step": 50, "clips_per_sec": 100.0},  # 50 steps of 8 clips: 4 s
      {"step": 50, "probe/knn_video": 0.4},
      {"step": 60, "clips_per_sec": 40.0},  # 10 steps of 8 clips: 2 s
    ]
    self.assertAlmostEqual(seed_comparison.training_sec(log, batch_size=8), 6.0)


class ColumnsTest(absltest.TestCase):

  def test_networks_that_start_alike_share_a_column(self):
    start = {0: {"knn_video": 0.1}, 1: {"knn_video": 0.3}}
    runs = {
      "avid": {0: (start[0], {"knn_video": 0.6}), 1: (start[1], {"knn_video": 0.8})},
      "other": {0: (start[0], {"knn_video": 0.9}), 1: (start[1], {"knn_video": 0.9})},
    }
    columns = seed_comparison.columns(runs)
    self.assertEqual(list(columns), ["untrained", "avid", "other"])
    self.assertEqual(columns["untrained"]["knn_video"], Statistic.of([0.1, 0.3]))
    self.assertEqual(columns["avid"]["knn_video"], Statistic.of([0.6, 0.8]))
    self.assertEqual(columns["other"]["knn_video"].std, 0)

  def test_networks_that_start_differently_have_columns_of_their_own(self):
    runs = {
      "small": {0: ({"knn_video": 0.1}, {"knn_video": 0.6})},
      "large": {0: ({"knn_video": 0.2}, {"knn_video": 0.9})},
    }
    columns = seed_comparison.columns(runs)
    self.assertEqual(list(columns), ["small, untrained", "small", "large, untrained", "large"])
    self.assertEqual(columns["large, untrained"]["knn_video"].mean, 0.2)

  def test_methods_without_a_probe_at_the_start_have_no_such_column(self):
    columns = seed_comparison.columns({"avid": {0: ({}, {"knn_video": 0.6})}})
    self.assertEqual(list(columns), ["avid"])


class TableTest(absltest.TestCase):

  def test_layout(self):
    columns = {
      "raw input": {"linear_video": Statistic.of([0.2])},
      "avid": {
        "linear_video": Statistic.of([0.8, 0.9]),
        "training_sec": Statistic.of([400.0, 420.0]),
        "retrieval_r5": Statistic.of([0.5, 0.5]),
      },
    }
    self.assertEqual(
      seed_comparison.table(columns, num_seeds=2),
      "%               raw input         avid\n"
      "linear_video   20.0 (n=1)   85.0 ± 7.1\n"
      "retrieval_r5            -   50.0 ± 0.0\n"
      "training_sec            -     410 ± 14",
    )


if __name__ == "__main__":
  absltest.main()
