"""Tests of Robust xID against a NumPy oracle and closed forms."""

import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.losses import nce, robust_xid
from tests import two_replicas

_N, _D, _K = 40, 6, 12


def _unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _setting(**settings):
  """An objective after its warm-up, and a batch with its negatives."""
  generator = np.random.RandomState(1)
  objective = robust_xid.RobustXID(num_rows=_N, dim=_D, num_negatives=_K, **settings)
  objective.video_bank.rows.assign(_unit(generator.normal(size=(_N, _D))))
  objective.audio_bank.rows.assign(
    _unit(objective.video_bank.rows.numpy() + generator.normal(size=(_N, _D)))
  )
  batch = {
    "video": tf.constant(generator.normal(size=(5, _D)), tf.float32),
    "audio": tf.constant(generator.normal(size=(5, _D)), tf.float32),
    "index": tf.constant([3, 0, 39, 17, 8], tf.int64),
  }
  return objective, batch, generator.randint(0, _N, (5, _K))


def _oracle(objective, batch, negatives, kind, share, min_weight, delta=-0.25, kappa=0.5,
            tau=0.07, tau_s=0.02, tau_t=0.07):
  """Loss, weights and targets, one sample and one row at a time, in float64."""
  banks = {
    "video": objective.video_bank.rows.numpy().astype(np.float64),
    "audio": objective.audio_bank.rows.numpy().astype(np.float64),
  }
  cosines = np.array([v @ a for v, a in zip(banks["video"], banks["audio"])])
  mu, sigma = cosines.mean(), cosines.std()
  weights, losses, entropies = [], [], {"video": [], "audio": []}
  for b, i in enumerate(batch["index"].numpy()):
    distribution = scipy.stats.norm(mu + delta * sigma, np.sqrt(kappa * sigma**2))
    weights.append(min_weight + (1 - min_weight) * distribution.cdf(cosines[i]))
    rows = [i, *negatives[b]]
    loss = 0.0
    for query, other in (("video", "audio"), ("audio", "video")):
      own, target = banks[query], banks[other]
      logits = []
      for j in rows:
        logits.append({
          "bootstrapping": own[i] @ target[j] / tau_s,
          "swapped": target[i] @ own[j] / tau_s,
          "neighbor": own[i] @ own[j] / tau_s,
          "cycle": own[i] @ target[i] / tau_t + target[i] @ target[j] / tau_s
          + target[j] @ own[j] / tau_t,
        }[kind])
      targets = share * scipy.special.softmax(logits)
      targets[0] += 1 - share
      embedding = _unit(batch[query].numpy().astype(np.float64)[b])
      log_p = scipy.special.log_softmax([embedding @ target[j] / tau for j in rows])
      loss -= targets @ log_p
      entropies[query].append(scipy.stats.entropy(targets))
    losses.append(loss)
  weights, losses = np.array(weights), np.array(losses)
  return np.sum(weights * losses) / np.sum(weights), weights, entropies


class RobustXIDTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.product(
    targets=robust_xid.SOFT_TARGETS, target_weight=(0.0, 0.5), min_weight=(0.25, 1.0)
  )
  def test_agrees_with_an_oracle(self, targets, target_weight, min_weight):
    objective, batch, negatives = _setting(
      targets=targets, target_weight=target_weight, min_weight=min_weight
    )
    objective.begin_epoch(0, tf.distribute.get_strategy())
    expected, weights, entropies = _oracle(
      objective, batch, negatives, targets, target_weight, min_weight
    )
    losses = objective.loss_of(batch, tf.constant(negatives, tf.int64), training=True)
    self.assertAllClose(losses["loss"], expected, rtol=1e-4)
    self.assertAllClose(losses["weight/mean"], weights.mean(), rtol=1e-4)
    self.assertAllClose(losses["weight/min"], weights.min(), rtol=1e-4)
    for query in ("video", "audio"):
      entropy = np.mean(entropies[query])
      self.assertAllClose(losses[f"target_entropy/{query}"], entropy, rtol=1e-3, atol=1e-5)

  def test_warm_up_is_xid(self):
    objective, batch, negatives = _setting(warmup_epochs=2)
    plain, _, _ = _setting(min_weight=1.0, target_weight=0.0)
    negatives = tf.constant(negatives, tf.int64)
    logged = objective.begin_epoch(1, tf.distribute.get_strategy())
    self.assertEqual(logged["bank/weight"].shape, (_N,))
    found, expected = (o.loss_of(batch, negatives, training=True) for o in (objective, plain))
    self.assertAllEqual(found["loss"], expected["loss"])
    objective.begin_epoch(2, tf.distribute.get_strategy())
    self.assertEqual(objective.active.numpy(), 1.0)

  def test_xid_is_info_nce_of_both_directions(self):
    objective, batch, negatives = _setting(min_weight=1.0, target_weight=0.0)
    rows = np.concatenate([batch["index"].numpy()[:, None], negatives], axis=1)
    expected = 0.0
    for query, bank in (("video", objective.audio_bank), ("audio", objective.video_bank)):
      embedding = tf.math.l2_normalize(batch[query], axis=-1)
      scores = nce.bank_scores(embedding, bank.gather(rows), 0.07)
      expected += tf.reduce_mean(nce.info_nce_loss(scores[:, :1], scores[:, 1:]))
    losses = objective.loss_of(batch, tf.constant(negatives, tf.int64), training=True)
    self.assertAllClose(losses["loss"], expected, rtol=1e-5)

  def test_weights_of_known_cosines(self):
    weights = robust_xid.sample_weights(
      tf.constant([-1.0, 0.4, 0.5, 1.0]), mean=0.5, std=0.4, min_weight=0.2, delta=-0.25, kappa=0.5
    )
    # At the threshold, mu + delta sigma = 0.4, half of the range above w_min.
    self.assertAllClose(weights[1], 0.6, atol=1e-6)
    self.assertAllClose(weights[0], 0.2, atol=1e-5)
    self.assertAllGreater(weights[2:] - weights[1:3], 0.0)

  def test_weights_of_equal_cosines_are_finite(self):
    weights = robust_xid.sample_weights(tf.constant([0.3, 0.3]), 0.3, 0.0, 0.25, -0.25, 0.5)
    self.assertAllInRange(weights, 0.25, 1.0)

  def test_loss_is_0_where_no_sample_of_a_batch_weighs_anything(self):
    objective, batch, negatives = _setting(min_weight=0.0, delta=50.0, kappa=1e-6)
    objective.begin_epoch(0, tf.distribute.get_strategy())
    losses = objective.loss_of(batch, tf.constant(negatives, tf.int64), training=True)
    self.assertEqual(losses["weight/mean"].numpy(), 0.0)
    self.assertEqual(losses["loss"].numpy(), 0.0)

  def test_two_replicas_weigh_samples_as_one_does(self):
    alone, batch, negatives = _setting()
    with two_replicas.strategy().scope():
      shared, _, _ = _setting()
    batch = {name: value[:4] for name, value in batch.items()}
    negatives = tf.constant(negatives[:4], tf.int64)
    alone.begin_epoch(0, tf.distribute.get_strategy())
    shared.begin_epoch(0, two_replicas.strategy())
    expected = alone.loss_of(batch, negatives, training=True)
    found = two_replicas.loss_of_halves(shared, batch, negatives)
    self.assertNotAllClose(*found["weight/mean"])
    for name in ("loss", "weight/mean"):
      self.assertAllClose(np.mean(found[name]), expected[name], rtol=1e-5)

  def test_soft_targets_find_the_duplicate(self):
    rows = tf.constant([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    for kind in robust_xid.SOFT_TARGETS:
      targets = robust_xid.soft_targets(kind, rows, rows, 0.02, 0.07)
      self.assertAllClose(targets, [[0.5, 0.5, 0.0]], atol=1e-6)

  def test_gradients_flow_to_the_embeddings_alone(self):
    objective, batch, negatives = _setting()
    objective.begin_epoch(0, tf.distribute.get_strategy())
    with tf.GradientTape() as tape:
      tape.watch([batch["video"], batch["audio"]])
      loss = objective.loss_of(batch, tf.constant(negatives, tf.int64), training=True)["loss"]
    for gradient in tape.gradient(loss, [batch["video"], batch["audio"]]):
      self.assertGreater(tf.reduce_max(tf.abs(gradient)).numpy(), 0.0)
    self.assertEmpty(objective.trainable_variables)

  @parameterized.parameters(
    {"min_weight": 1.5},
    {"target_weight": -0.1},
    {"kappa": 0.0},
    {"target_temperature": 0.0},
    {"warmup_epochs": -1},
    {"targets": "nearest"},
  )
  def test_refuses(self, **settings):
    with self.assertRaisesRegex(ValueError, next(iter(settings))):
      robust_xid.RobustXID(num_rows=_N, dim=_D, **settings)


if __name__ == "__main__":
  tf.test.main()
