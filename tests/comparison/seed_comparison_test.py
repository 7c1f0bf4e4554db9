"""Tests of mean and spread over seeds."""

import numpy as np
from absl.testing import absltest

from avssl_tf.comparison import seed_comparison
from avssl_tf.comparison.seed_comparison import Statistic
from avssl_tf.evaluation import units


class StatisticTest(absltest.TestCase):

  def test_is_the_sample_mean_and_standard_deviation(self):
    values = np.random.default_rng(0).uniform(size=5)
    found = Statistic.of(list(values))
    self.assertAlmostEqual(found.mean, np.mean(values))
    self.assertAlmostEqual(found.std, np.std(values, ddof=1))
    self.assertEqual(found.n, 5)

  def test_one_value_has_no_spread(self):
    self.assertEqual(Statistic.of([0.25]), Statistic(0.25, None, 1))
    self.assertEqual(Statistic.of([0.25]).text(units.PERCENT, num_seeds=1), "25.0")


class LogTest(absltest.TestCase):

  def test_the_last_value_of_each_probe_counts(self):
    log = [
      {"step": 0, "probe/knn_video": 0.1},
      {"step": 0, "probe/purity": 0.2},
      {"step": 50, "loss": 3.0, "clips_per_sec": 10.0},
      {"step": 50, "probe/knn_video": 0.4, "probe/purity": 0.3},
      {"step": 100, "probe/knn_video": 0.8},
      {"step": 100, "probe/purity": 0.5},
      {"step": 100, "loss": 1.0},
    ]
    self.assertEqual(
      seed_comparison.probes(log),
      ({"knn_video": 0.1, "purity": 0.2}, {"knn_video": 0.8, "purity": 0.5}),
    )

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


class RowsTest(absltest.TestCase):

  def test_networks_that_start_alike_share_a_row(self):
    start = {0: {"knn_video": 0.1}, 1: {"knn_video": 0.3}}
    runs = {
      "AVID": {0: (start[0], {"knn_video": 0.6}), 1: (start[1], {"knn_video": 0.8})},
      "other": {0: (start[0], {"knn_video": 0.9}), 1: (start[1], {"knn_video": 0.9})},
    }
    rows = seed_comparison.rows(runs)
    self.assertEqual(list(rows), ["untrained", "AVID", "other"])
    self.assertEqual(rows["untrained"]["knn_video"], Statistic.of([0.1, 0.3]))
    self.assertEqual(rows["AVID"]["knn_video"], Statistic.of([0.6, 0.8]))
    self.assertEqual(rows["other"]["knn_video"].std, 0)

  def test_a_start_is_put_together_from_what_methods_measured(self):
    runs = {
      "AVID": {0: ({"knn_video": 0.1, "purity": 0.5}, {"knn_video": 0.6})},
      "none yet": {},
      "other": {
        0: ({"knn_video": 0.1}, {"knn_video": 0.6}),
        1: ({"knn_video": 0.3}, {"knn_video": 0.9}),
      },
    }
    rows = seed_comparison.rows(runs)
    self.assertEqual(list(rows), ["untrained", "AVID", "other"])
    self.assertEqual(rows["untrained"]["knn_video"], Statistic.of([0.1, 0.3]))
    self.assertEqual(rows["untrained"]["purity"], Statistic.of([0.5]))
    self.assertEqual(runs["AVID"][0][0], {"knn_video": 0.1, "purity": 0.5})

  def test_networks_that_start_differently_have_rows_of_their_own(self):
    runs = {
      name: {0: ({"knn_video": start}, {"knn_video": 0.6})}
      for name, start in (("small", 0.1), ("large", 0.2), ("tall", 0.1), ("slim", 0.1))
    }
    rows = seed_comparison.rows(runs)
    self.assertEqual(
      list(rows),
      ["small and 2 more, at step 0", "large, at step 0", "small", "large", "tall", "slim"],
    )
    self.assertEqual(rows["large, at step 0"]["knn_video"].mean, 0.2)

  def test_methods_without_a_probe_at_the_start_have_no_such_row(self):
    rows = seed_comparison.rows({"AVID": {0: ({}, {"knn_video": 0.6})}})
    self.assertEqual(list(rows), ["AVID"])


class DifferencesTest(absltest.TestCase):

  def test_are_of_runs_with_the_same_seed(self):
    rng = np.random.default_rng(0)
    chance = rng.normal(size=8)  # Shared by runs with the same seed.
    gain = rng.normal(0.1, 0.01, size=8)
    runs = {
      "other": {seed: ({}, {"a": chance[seed] + gain[seed]}) for seed in reversed(range(8))},
      "AVID": {seed: ({}, {"a": chance[seed], "b": 1.0}) for seed in range(8)},
    }
    (row,) = seed_comparison.differences(runs, "AVID").values()
    self.assertEqual(list(row), ["a"])
    self.assertAlmostEqual(row["a"].mean, np.mean(gain))
    self.assertAlmostEqual(row["a"].std, np.std(gain, ddof=1))

  def test_need_a_seed_and_a_metric_in_common(self):
    runs = {
      "AVID": {0: ({}, {"a": 1.0}), 1: ({}, {"a": 2.0})},
      "one": {1: ({}, {"a": 5.0}), 2: ({}, {"a": 9.0})},
      "late": {2: ({}, {"a": 5.0})},
      "none yet": {},
      "of another kind": {0: ({}, {"b": 5.0})},
    }
    self.assertEqual(
      seed_comparison.differences(runs, "AVID"), {"one": {"a": Statistic(3.0, None, 1)}}
    )


class TableTest(absltest.TestCase):

  ROWS = {
    "raw input": {"linear_video": Statistic.of([0.2])},
    "AVID": {
      "purity": Statistic.of([0.25, 0.25]),
      "training_sec": Statistic.of([400.0, 420.0]),
      "retrieval_r5": Statistic.of([0.5, 0.5]),
      "retrieval_r10": Statistic.of([0.9, 0.9]),
      "retrieval_audio_to_video_r1": Statistic.of([0.9, 0.9]),
      "linear_video_top5": Statistic.of([1.0, 1.0]),
      "linear_video": Statistic.of([0.8, 0.9]),
    },
  }

  def test_layout(self):
    self.assertEqual(
      seed_comparison.table(self.ROWS, num_seeds=3),
      "%               linear video                R@5             purity          time, s\n"
      "raw input               20.0                  -                  -                -\n"
      "AVID        85.0 ± 7.1 (n=2)   50.0 ± 0.0 (n=2)   25.0 ± 0.0 (n=2)   410 ± 14 (n=2)",
    )

  def test_layout_in_markdown(self):
    self.assertEqual(
      seed_comparison.table(self.ROWS, num_seeds=2, markdown=True),
      "| % | linear video | R@5 | purity | time, s |\n"
      "| --- | ---: | ---: | ---: | ---: |\n"
      "| raw input | 20.0 | - | - | - |\n"
      "| AVID | 85.0 ± 7.1 | 50.0 ± 0.0 | 25.0 ± 0.0 | 410 ± 14 |",
    )

  def test_differences_have_signs(self):
    rows = {"CMA": {"knn_audio": Statistic.of([0.02, 0.04]), "knn_video": Statistic.of([-0.01])}}
    self.assertEqual(
      seed_comparison.table(rows, num_seeds=2, corner="points", signed=True),
      "points   kNN video    kNN audio\n"
      "CMA           -1.0   +3.0 ± 1.4",
    )


if __name__ == "__main__":
  absltest.main()
