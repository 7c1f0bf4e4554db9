"""Tests of the AVID objective against golden numbers and a NumPy oracle."""

import os

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.losses import avid, nce

_GOLDEN = os.path.join(os.path.dirname(__file__), "..", "testdata", "avid_losses.npz")
_VARIANTS = {
  "cross": {"cross_coefficient": 1.0, "self_coefficient": 0.0},
  "self": {"cross_coefficient": 0.0, "self_coefficient": 1.0},
  "joint": {"cross_coefficient": 1.0, "self_coefficient": 1.0},
}
_TERM_NAMES = {
  "v2a": "loss/video_to_audio",
  "a2v": "loss/audio_to_video",
  "v2v": "loss/video_to_video",
  "a2a": "loss/audio_to_audio",
}


class AVIDTest(tf.test.TestCase, parameterized.TestCase):

  @parameterized.parameters("cross", "self", "joint")
  def test_two_steps_agree_with_golden_numbers(self, variant):
    golden = np.load(_GOLDEN)
    objective = avid.AVID(num_rows=64, dim=16, num_negatives=8, **_VARIANTS[variant])
    objective.video_bank.rows.assign(golden["bank_v"])
    objective.audio_bank.rows.assign(golden["bank_a"])
    negatives = tf.constant(golden["negatives"])

    @tf.function
    def step(video, audio):
      with tf.GradientTape() as tape:
        tape.watch([video, audio])
        losses = objective.loss_of(
          {"video": video, "audio": audio, "index": tf.constant(golden["index"])},
          negatives,
          training=True,
        )
      return losses, tape.gradient(losses["loss"], [video, audio])

    inputs = [(golden["emb_v"], golden["emb_a"]), (golden["emb_v"] * 2, golden["emb_a"] + 1)]
    for number, (video, audio) in enumerate(inputs):
      losses, (grad_video, grad_audio) = step(tf.constant(video), tf.constant(audio))
      prefix = f"avid_{variant}/step{number}/"
      self.assertAllClose(losses["loss"], golden[prefix + "loss"], rtol=1e-5, atol=1e-5)
      self.assertAllClose(grad_video, golden[prefix + "grad_v"], rtol=1e-5, atol=1e-5)
      self.assertAllClose(grad_audio, golden[prefix + "grad_a"], rtol=1e-5, atol=1e-5)
      self.assertAllClose(
        objective.video_bank.rows, golden[prefix + "bank_v"], rtol=1e-5, atol=1e-5
      )
      self.assertAllClose(
        objective.audio_bank.rows, golden[prefix + "bank_a"], rtol=1e-5, atol=1e-5
      )
      self.assertAllClose(objective.normalizer, golden[prefix + "Z"], rtol=1e-5)
      for short, name in _TERM_NAMES.items():
        if f"{prefix}Loss/{short}" in golden:
          self.assertAllClose(losses[name], golden[f"{prefix}Loss/{short}"], rtol=1e-5)
        else:
          self.assertNotIn(name, losses)

  def test_negatives_change_from_step_to_step_and_follow_the_seed(self):
    inputs = {
      "video": tf.random.stateless_normal([4, 8], [0, 1]),
      "audio": tf.random.stateless_normal([4, 8], [0, 2]),
      "index": tf.constant([0, 3, 5, 7], tf.int64),
    }

    def losses(seed):
      objective = avid.AVID(num_rows=50, dim=8, num_negatives=4, momentum=1.0, seed=seed)
      return [float(objective(inputs, training=True)["loss"]) for _ in range(2)]

    self.assertEqual(losses(1), losses(1))
    self.assertNotEqual(losses(1), losses(2))
    self.assertNotEqual(*losses(1))

  def test_softmax_form_can_stand_for_nce(self):
    objective = avid.AVID(num_rows=20, dim=4, num_negatives=6, loss=nce.info_nce_loss)
    rng = np.random.default_rng(0)
    video, audio = rng.standard_normal((2, 3, 4)).astype(np.float32)
    index, negatives = np.array([0, 4, 9]), rng.integers(10, 20, (3, 6))
    video_rows, audio_rows = objective.video_bank.rows.numpy(), objective.audio_bank.rows.numpy()
    losses = objective.loss_of({"video": video, "audio": audio, "index": index}, negatives, True)
    expected = 0.0
    for query, rows in ((video, audio_rows), (audio, video_rows)):
      for i in range(3):
        q = query[i] / np.linalg.norm(query[i])
        scores = rows[np.concatenate([index[i : i + 1], negatives[i]])] @ q / 0.07
        expected += (np.log(np.sum(np.exp(scores))) - scores[0]) / 3 / 2
    self.assertAllClose(losses["loss"], expected, rtol=1e-5)

  def test_fill_replaces_rows_and_leaves_the_others(self):
    objective = avid.AVID(num_rows=6, dim=4)
    before = objective.video_bank.rows.numpy()
    embedding = tf.constant([[0.0, 2.0, 0.0, 0.0]])
    objective.fill({"video": embedding, "audio": embedding, "index": tf.constant([2], tf.int64)})
    before[2] = [0, 1, 0, 0]
    self.assertAllClose(objective.video_bank.rows, before)

  @parameterized.parameters(
    {"cross_coefficient": 0.0},
    {"self_coefficient": -1.0},
    {"temperature": 0.0},
    {"num_negatives": 0},
    {"num_rows": 1},
    {"momentum": 1.5},
  )
  def test_refuses_what_makes_no_sense(self, **arguments):
    with self.assertRaises(ValueError):
      avid.AVID(**{"num_rows": 10, "dim": 4, **arguments})


if __name__ == "__main__":
  tf.test.main()
