"""Tests of the objectives in somebody else's Keras model: `fit`, `evaluate`, custom loops."""

import os
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.losses import avid, cma, robust_xid
from tests import two_replicas

_ROWS, _DIM = 24, 6
_OBJECTIVES = {
  "cross_avid": lambda: avid.AVID(_ROWS, _DIM, num_negatives=4),
  "joint_avid": lambda: avid.AVID(_ROWS, _DIM, self_coefficient=1.0, num_negatives=4),
  "cma": lambda: cma.CMA(
    _ROWS, _DIM, warmup_epochs=1, refresh_every_epochs=1, num_positives=3, num_negatives=4,
    num_positive_negatives=2,
  ),
  "robust_xid": lambda: robust_xid.RobustXID(_ROWS, _DIM, warmup_epochs=1, num_negatives=4),
}  # fmt: skip
_NAMES = [(name,) for name in _OBJECTIVES]


class ForeignModel(tf.keras.Model):
  """A model as anybody may have it, which knows nothing of this package but one objective."""

  def __init__(self, objective):
    super().__init__()
    self.video = tf.keras.layers.Dense(_DIM)
    self.audio = tf.keras.layers.Dense(_DIM)
    self.objective = objective

  def call(self, batch, training=False):
    embeddings = {"video": self.video(batch["frames"]), "audio": self.audio(batch["sound"])}
    losses = self.objective({**embeddings, "index": batch["id"]}, training=training)
    self.add_loss(losses["loss"])
    return losses["loss"]


def _dataset(index_type=np.int64, batch_size=4):
  random = np.random.default_rng(0)
  frames = random.normal(size=(_ROWS, 5)).astype(np.float32)
  clips = {"frames": frames, "sound": 2 * frames[:, :3], "id": np.arange(_ROWS, dtype=index_type)}
  return tf.data.Dataset.from_tensor_slices(clips).batch(batch_size, drop_remainder=True)


def _model(name, optimizer=None):
  model = ForeignModel(_OBJECTIVES[name]())
  model.compile(optimizer=optimizer or tf.keras.optimizers.Adam(0.05))
  return model


def _epochs(model):
  """The callback that an objective with state of its own needs in `fit`."""
  return tf.keras.callbacks.LambdaCallback(
    on_epoch_begin=lambda epoch, logs: model.objective.begin_epoch(epoch)
  )


def _state(model):
  return [variable.numpy().copy() for variable in model.objective.variables]


class ForeignModelTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    tf.keras.utils.set_random_seed(0)
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")

  def assert_same(self, found, expected):
    self.assertEqual(len(found), len(expected))
    for one, other in zip(found, expected):
      np.testing.assert_array_equal(one, other)

  @parameterized.parameters(*_NAMES)
  def test_fit_learns_and_updates_the_banks(self, name):
    model = _model(name)
    banks = (model.objective.video_bank.rows, model.objective.audio_bank.rows)
    before = [bank.numpy() for bank in banks]
    # Without the callback: the loss changes its meaning when a warm-up is over.
    losses = model.fit(_dataset(), epochs=16, verbose=0).history["loss"]
    self.assertLess(np.mean(losses[-3:]), 0.9 * np.mean(losses[:3]))
    for old, bank in zip(before, banks):
      self.assertTrue((old != bank.numpy()).any(axis=1).all())
      np.testing.assert_allclose(np.linalg.norm(bank.numpy(), axis=1), 1, rtol=1e-5)
    self.assertEqual(model.objective.step.numpy(), 16 * _ROWS // 4)

  @parameterized.parameters(*_NAMES)
  def test_evaluation_changes_nothing(self, name):
    model = _model(name)
    untrained = model.evaluate(_dataset(), verbose=0)
    self.assertTrue(np.isfinite(untrained))
    model.fit(_dataset(), epochs=2, verbose=0, callbacks=[_epochs(model)])
    before = _state(model)
    first, second = (model.evaluate(_dataset(), verbose=0) for _ in range(2))
    self.assertEqual(first, second)
    self.assert_same(_state(model), before)

  def test_evaluation_before_the_first_step_leaves_the_constant_to_training(self):
    model = _model("cross_avid")
    model.evaluate(_dataset(), verbose=0)
    self.assertEqual(model.objective.normalizer.numpy(), 0)

  @parameterized.product(name=tuple(_OBJECTIVES), policy=("mixed_float16", "mixed_bfloat16"))
  def test_mixed_precision_and_small_indexes(self, name, policy):
    tf.keras.mixed_precision.set_global_policy(policy)
    model = _model(name)
    history = model.fit(_dataset(np.int32), verbose=0, callbacks=[_epochs(model)])
    self.assertTrue(np.isfinite(history.history["loss"]).all())
    types = {variable.dtype for variable in model.objective.variables}
    self.assertEqual({dtype for dtype in types if dtype.is_floating}, {tf.float32})

  @parameterized.parameters(*((name, "model") for name in _OBJECTIVES), ("cma", "model.weights.h5"))
  def test_weights_save_and_load(self, name, file):
    model = _model(name)
    model.fit(_dataset(), epochs=2, verbose=0, callbacks=[_epochs(model)])
    with tempfile.TemporaryDirectory() as folder:
      path = os.path.join(folder, file)
      model.save_weights(path)
      other = _model(name)
      other.evaluate(_dataset().take(1), verbose=0)
      other.load_weights(path)
    self.assert_same(_state(other), _state(model))
    self.assertEqual(other.evaluate(_dataset(), verbose=0), model.evaluate(_dataset(), verbose=0))

  @parameterized.parameters(*_NAMES)
  def test_a_custom_loop_does_what_fit_does(self, name):
    fitted, looped = _model(name), _model(name)
    for model in (fitted, looped):
      model.evaluate(_dataset().take(1), verbose=0)
    looped.set_weights(fitted.get_weights())
    fitted.fit(_dataset(), epochs=2, verbose=0, callbacks=[_epochs(fitted)])

    @tf.function
    def step(batch):
      with tf.GradientTape() as tape:
        loss = looped(batch, training=True)
      looped.optimizer.minimize(loss, looped.trainable_variables, tape=tape)

    for epoch in range(2):
      looped.objective.begin_epoch(epoch)
      for batch in _dataset():
        step(batch)
    for found, expected in zip(looped.get_weights(), fitted.get_weights()):
      np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

  @parameterized.parameters(*_NAMES)
  def test_two_replicas_stay_alike(self, name):
    strategy = two_replicas.strategy()
    with strategy.scope():
      model = _model(name)
    before = model.objective.video_bank.rows.numpy()
    model.fit(_dataset(), epochs=2, verbose=0, callbacks=[_epochs(model)])
    for variable in model.objective.variables:
      first, second = strategy.experimental_local_results(variable)
      np.testing.assert_array_equal(first.numpy(), second.numpy())
    # Each replica reads half of the clips, and writes the embeddings of both.
    self.assertTrue((before != model.objective.video_bank.rows.numpy()).any(axis=1).all())
    state = _state(model)
    self.assertTrue(np.isfinite(model.evaluate(_dataset(), verbose=0)))
    self.assert_same(_state(model), state)

  @parameterized.parameters(*_NAMES)
  def test_what_does_not_fit_is_named(self, name):
    objective = _OBJECTIVES[name]()
    video, audio, index = tf.ones([2, _DIM]), tf.ones([2, _DIM]), tf.constant([0, 1])
    for wrong, message in (
      ({"video": tf.ones([2, _DIM + 1])}, r"'video' of float32 \(2, 7\).*\[B, 6\]"),
      ({"audio": tf.ones([_DIM])}, r"'audio' of float32 \(6,\).*\[B, 6\]"),
      ({"audio": tf.ones([2, _DIM], tf.int32)}, "'audio' of int32"),
      ({"index": tf.constant([0.0, 1.0])}, "'index' of float32"),
      ({"index": tf.constant([[0], [1]])}, r"'index' of int32 \(2, 1\)"),
      ({"index": tf.constant([0, 1, 2])}, r"'index' of int32 \(3,\)"),
    ):
      with self.subTest(message):
        for call in (objective, lambda e, training: objective.fill(e)):
          with self.assertRaisesRegex(ValueError, f"{type(objective).__name__} got {message}"):
            call({"video": video, "audio": audio, "index": index, **wrong}, training=True)
    with self.assertRaisesRegex(ValueError, "got no 'audio' and no 'index'"):
      objective({"video": video}, training=True)
    for outside in ([0, _ROWS], [-1, 0]):
      for call in (objective, tf.function(objective)):
        with self.assertRaisesRegex(
          tf.errors.InvalidArgumentError, f"outside the {_ROWS} rows.*num_rows"
        ):
          call({"video": video, "audio": audio, "index": tf.constant(outside)}, training=True)


if __name__ == "__main__":
  tf.test.main()
