"""Tests of CMA against golden numbers, of its warm-up, of its negatives and of its mining."""

import os
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.losses import avid, cma
from tests import two_replicas

_GOLDEN = os.path.join(os.path.dirname(__file__), "..", "testdata", "avid_losses.npz")
_VARIANTS = {
  "default": {},
  "all": {"positive_cross_coefficient": 1.0},
}
_TERM_NAMES = {
  "inst-v2a": "loss/video_to_audio",
  "inst-a2v": "loss/audio_to_video",
  "pos-v2a": "loss/video_to_audio_positives",
  "pos-a2v": "loss/audio_to_video_positives",
  "pos-v2v": "loss/video_to_video_positives",
  "pos-a2a": "loss/audio_to_audio_positives",
}


def _golden_objective(golden, **settings) -> cma.CMA:
  """CMA with the banks of the golden numbers."""
  objective = cma.CMA(num_rows=200, dim=16, num_positives=8, mining_block=64, **settings)
  objective.video_bank.rows.assign(golden["cma_bank_v"])
  objective.audio_bank.rows.assign(golden["cma_bank_a"])
  return objective


def _batch(generator, num_rows, size=8, dim=4):
  return {
    "video": tf.constant(generator.normal(size=[size, dim]), tf.float32),
    "audio": tf.constant(generator.normal(size=[size, dim]), tf.float32),
    "index": tf.constant(generator.choice(num_rows, size, replace=False), tf.int64),
  }


class CMATest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.parameters("consensus", "union", "video", "audio")
  def test_positive_sets_agree_with_golden_numbers(self, agreement):
    golden = np.load(_GOLDEN)
    objective = _golden_objective(golden, agreement=agreement)
    objective.mine(tf.distribute.get_strategy())
    expected = np.sort(golden[f"cma_positives/{agreement}"], axis=1)
    np.testing.assert_array_equal(np.sort(objective.positive_sets.numpy(), axis=1), expected)
    self.assertEqual(objective.mined.numpy(), 1)

  @parameterized.parameters("default", "all")
  def test_losses_and_gradients_agree_with_golden_numbers(self, variant):
    golden = np.load(_GOLDEN)
    # The numbers were made with 5 negatives of the positive sets.
    objective = _golden_objective(golden, num_positive_negatives=5, **_VARIANTS[variant])
    objective.mine(tf.distribute.get_strategy())
    video, audio = tf.constant(golden["cma_emb_v"]), tf.constant(golden["cma_emb_a"])
    with tf.GradientTape() as tape:
      tape.watch([video, audio])
      losses = objective.loss_of(
        {"video": video, "audio": audio, "index": tf.constant(golden["cma_index"])},
        tf.constant(golden["cma_negatives"]),
        training=True,
      )
    grad_video, grad_audio = tape.gradient(losses["loss"], [video, audio])
    prefix = f"cma_{variant}/"
    self.assertAllClose(losses["loss"], golden[prefix + "loss"], rtol=1e-5)
    self.assertAllClose(grad_video, golden[prefix + "grad_v"], rtol=1e-4, atol=1e-6)
    self.assertAllClose(grad_audio, golden[prefix + "grad_a"], rtol=1e-4, atol=1e-6)
    self.assertAllClose(objective.normalizer, golden[prefix + "Z"], rtol=1e-5)
    for short, name in _TERM_NAMES.items():
      if f"{prefix}Loss/{short}" in golden:
        self.assertAllClose(losses[name], golden[f"{prefix}Loss/{short}"], rtol=1e-5)

  def test_within_instance_terms_stay_within_a_modality(self):
    golden = np.load(_GOLDEN)
    objective = _golden_objective(golden, cross_coefficient=0.0, self_coefficient=1.0)
    alone = avid.AVID(num_rows=200, dim=16, cross_coefficient=0.0, self_coefficient=1.0)
    alone.video_bank.rows.assign(golden["cma_bank_v"])
    alone.audio_bank.rows.assign(golden["cma_bank_a"])
    batch = {
      "video": tf.constant(golden["cma_emb_v"]),
      "audio": tf.constant(golden["cma_emb_a"]),
      "index": tf.constant(golden["cma_index"]),
    }
    negatives = tf.constant(golden["cma_negatives"])
    objective.mine(tf.distribute.get_strategy())
    found, expected = (o.loss_of(batch, negatives, training=True) for o in (objective, alone))
    for name in ("loss/video_to_video", "loss/audio_to_audio"):
      self.assertAllClose(found[name], expected[name], rtol=1e-6)

  def test_warm_up_is_avid_to_the_last_bit(self):
    generator = np.random.RandomState(0)
    settings = {"num_rows": 50, "dim": 4, "num_negatives": 16, "seed": 3}
    with_sets = cma.CMA(num_positives=5, warmup_epochs=2, **settings)
    without = avid.AVID(**settings)
    for epoch in range(2):
      with_sets.begin_epoch(epoch, tf.distribute.get_strategy())
      batch = _batch(generator, 50)
      self.assertEqual(with_sets(batch)["loss"].numpy(), without(batch)["loss"].numpy())
    np.testing.assert_array_equal(
      with_sets.video_bank.rows.numpy(), without.video_bank.rows.numpy()
    )
    with_sets.begin_epoch(2, tf.distribute.get_strategy())
    batch = _batch(generator, 50)
    self.assertNotEqual(with_sets(batch)["loss"].numpy(), without(batch)["loss"].numpy())

  def test_negatives_are_uniform_over_the_rows_outside_the_positive_set(self):
    objective = cma.CMA(num_rows=20, dim=4, num_positives=6, num_negatives=20000)
    objective.mine(tf.distribute.get_strategy())
    index = tf.constant([0, 7, 19], tf.int64)
    negatives = objective.draw_negatives(index, tf.constant([1, 2])).numpy()
    for row, drawn in zip(index.numpy(), negatives):
      excluded = {row, *objective.positive_sets.numpy()[row]}
      self.assertLen(excluded, 7)
      counts = np.bincount(drawn, minlength=20)
      self.assertEqual({r for r in range(20) if counts[r] == 0}, excluded)
      # 13 rows are left; 5 standard deviations of a binomial count.
      expected = 20000 / 13
      self.assertLess(np.abs(counts[counts > 0] - expected).max(), 5 * np.sqrt(expected))

  def test_mines_when_due(self):
    objective = cma.CMA(
      num_rows=20, dim=4, num_positives=3, warmup_epochs=2, refresh_every_epochs=3
    )
    with mock.patch.object(objective, "mine") as mine:
      due = []
      for epoch in range(10):
        mine.reset_mock()
        objective.begin_epoch(epoch, tf.distribute.get_strategy())
        if mine.called:
          due.append(epoch)
    self.assertEqual(due, [2, 5, 8])

  def test_two_replicas_mine_the_sets_of_one(self):
    golden = np.load(_GOLDEN)
    alone = _golden_objective(golden)
    alone.mine(tf.distribute.get_strategy())
    strategy = two_replicas.strategy()
    with strategy.scope():
      shared = _golden_objective(golden)
    shared.mine(strategy)
    for replica in strategy.experimental_local_results(shared.positive_sets):
      np.testing.assert_array_equal(replica.numpy(), alone.positive_sets.numpy())

  def test_two_replicas_lose_what_one_does(self):
    golden = np.load(_GOLDEN)
    strategy = two_replicas.strategy()
    settings = {"num_positive_negatives": 5, **_VARIANTS["all"]}
    alone = _golden_objective(golden, **settings)
    with strategy.scope():
      shared = _golden_objective(golden, **settings)
    alone.mine(tf.distribute.get_strategy())
    shared.mine(strategy)
    batch = {
      "video": tf.constant(golden["cma_emb_v"]),
      "audio": tf.constant(golden["cma_emb_a"]),
      "index": tf.constant(golden["cma_index"]),
    }
    negatives = tf.constant(golden["cma_negatives"])
    expected = alone.loss_of(batch, negatives, training=True)
    found = two_replicas.loss_of_halves(shared, batch, negatives)
    self.assertEqual(set(found), set(expected))
    for name, values in found.items():
      self.assertNotEqual(*values)
      self.assertAllClose(np.mean(values), expected[name], rtol=1e-5)
    for bank in ("video_bank", "audio_bank"):
      rows = getattr(alone, bank).rows.numpy()
      for copy in strategy.experimental_local_results(getattr(shared, bank).rows):
        self.assertAllClose(copy.numpy(), rows, atol=1e-6)

  def test_mining_again_and_again_warns_of_nothing(self):
    objective = cma.CMA(num_rows=20, dim=4, num_positives=3)
    with mock.patch.object(tf.get_logger(), "warning") as warning:
      for _ in range(8):
        objective.mine(tf.distribute.get_strategy())
    warning.assert_not_called()

  @parameterized.parameters(
    ({"num_positives": 19}, "num_positives"),
    ({"num_positives": 0}, "num_positives"),
    ({"agreement": "mean"}, "agreement"),
    ({"warmup_epochs": -1}, "warmup_epochs"),
    ({"refresh_every_epochs": 0}, "refresh_every_epochs"),
    ({"positive_self_coefficient": -1.0}, "positive_self_coefficient"),
  )
  def test_refuses(self, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      cma.CMA(num_rows=20, dim=4, **{"num_positives": 3, **settings})


if __name__ == "__main__":
  tf.test.main()
