"""Tests that a step of two replicas is that of one device, for every task.

In some cases each replica computes its half of the batch in two parts.

Labels, silence and weights are spread unevenly over the replicas, so that a mean over a replica's
own part is not that over all. Batch normalisation, whose statistics are each replica's own, runs as
in inference.
"""

from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf import keys
from avssl_tf.losses import avid, cma, memory_bank, robust_xid
from avssl_tf.models import front_end
from avssl_tf.models.spatialization import audio_unet, localizers, panorama_net, spatial_unet
from avssl_tf.tasks.classification import Classification
from avssl_tf.tasks.instance_discrimination import InstanceDiscrimination
from avssl_tf.tasks.spatial_alignment import SpatialAlignment
from avssl_tf.tasks.spatial_audio import SpatialAudio
from tests import test_base, tiny_alignment, tiny_run, two_replicas

_NUM_VIDEOS = 24
_OBJECTIVES = {
  "avid": lambda **a: avid.AVID(num_negatives=8, **a),
  "self_avid": lambda **a: avid.AVID(
    num_negatives=8, cross_coefficient=0.0, self_coefficient=1.0, **a
  ),
  "joint_avid": lambda **a: avid.AVID(num_negatives=8, self_coefficient=1.0, **a),
  "cma": lambda **a: cma.CMA(num_negatives=8, num_positives=4, num_positive_negatives=4, **a),
  "cma_across": lambda **a: cma.CMA(
    num_negatives=8, num_positives=4, positive_cross_coefficient=1.0, **a
  ),
  "robust_xid": lambda **a: robust_xid.RobustXID(num_negatives=8, **a),
}
_IN_PARTS = ("joint_avid", "cma", "robust_xid")


def _negatives_of_sample(excluded, num_rows, num_negatives, seed):
  # Random draws depend on the replica; here, one device must draw the same as two.
  del seed
  return (excluded[:, :1] + 1 + tf.range(num_negatives, dtype=tf.int64)) % num_rows


def _sound_field_network():
  return spatial_unet.SpatialUNet(
    front_end.VideoFrontEnd(),
    panorama_net.PanoramaNet((8, 8), (2, 1)),
    localizers.AttentionLocalizer,
    8000,
    lambda num_tracks: audio_unet.AudioUNet(num_tracks, (4, 8), (1, 2)),
    num_tracks=2,
    frame_length=64,
    hop_length=32,
  )


class UnevenReplicasTest(parameterized.TestCase, test_base.TestCase):

  def check(self, make, batch, learning_rate=0.1, accumulate_steps=1):
    """Compares results and weights after two steps on one device and on two halves.

    Args:
      make: creates the task.
      batch: the clips of both steps.
      learning_rate: of the optimiser.
      accumulate_steps: number of parts of the batch of each replica.
    """
    alone = self.compiled(make, batch, learning_rate)
    with two_replicas.strategy().scope():
      shared = self.compiled(make, batch, learning_rate)
    shared.accumulate_steps = accumulate_steps
    shared.set_weights(alone.get_weights())
    before = [v.numpy() for v in alone.trainable_variables]
    if hasattr(alone, "begin_epoch"):
      alone.begin_epoch(0, tf.distribute.get_strategy())
      shared.begin_epoch(0, two_replicas.strategy())
    for _ in range(2):
      expected = {name: value.numpy() for name, value in alone.train_step(batch).items()}
      for found in two_replicas.step_of_halves(shared, batch):
        self.assertEqual(set(found), set(expected))
        for name, value in expected.items():
          self.assertAllClose(found[name], value, rtol=1e-4, atol=1e-5, msg=name)
    for one, two in zip(alone.variables, shared.variables):
      if one.dtype.is_floating:
        self.assertAllClose(two.numpy(), one.numpy(), rtol=1e-4, atol=1e-5, msg=one.name)
    moved = [np.abs(v.numpy() - old).max() for v, old in zip(alone.trainable_variables, before)]
    self.assertGreater(max(moved), 1e-3)

  def compiled(self, make, batch, learning_rate=0.1):
    tf.keras.utils.set_random_seed(0)
    task = make()
    task(batch)
    for layer in task.submodules:
      if isinstance(layer, tf.keras.layers.BatchNormalization):
        layer.trainable = False
    task.compile(optimizer=tf.keras.optimizers.SGD(learning_rate))
    # Else the step is traced twice, the first time to create the variables.
    task.optimizer.build(task.trainable_variables)
    return task

  def clips(self, count=8):
    return {
      keys.VIDEO: tf.constant(self.rng.integers(0, 256, (count, 2, 16, 16, 3)), tf.uint8),
      keys.AUDIO: tf.constant(self.rng.normal(0, 0.1, (count, 2400, 1)), tf.float32),
      keys.INDEX: tf.constant(self.rng.permutation(_NUM_VIDEOS)[:count], tf.int64),
    }

  @parameterized.parameters(*_OBJECTIVES)
  def test_instance_discrimination(self, name):
    def make():
      return InstanceDiscrimination(
        tiny_run.TinyNetwork(), _OBJECTIVES[name], num_videos=_NUM_VIDEOS, seed=3
      )

    with mock.patch.object(memory_bank, "draw_negatives", _negatives_of_sample):
      self.check(make, self.clips(), accumulate_steps=2 if name in _IN_PARTS else 1)

  @parameterized.parameters(("easy+hard", 2), ("avc", 1))
  def test_spatial_alignment(self, contrast, accumulate_steps):
    def make():
      return SpatialAlignment(tiny_alignment.tiny_network(), num_videos=9, contrast=contrast)

    batch = tiny_alignment.random_batch(self.rng)
    self.check(make, batch, accumulate_steps=accumulate_steps)

  @parameterized.parameters(
    ([2, 0, 1, 1, -1, -1, 0, -1], 1),
    ([-1, -1, -1, -1, 2, 0, 1, -1], 2),
    ([-1, 1, -1, -1, -1, -1, -1, -1], 2),
  )
  def test_classification(self, labels, accumulate_steps):
    batch = {**self.clips(), keys.LABEL: tf.constant(labels, tf.int64)}
    make = lambda: Classification(tiny_run.TinyNetwork(), 9, num_classes=3)  # noqa: E731
    self.check(make, batch, accumulate_steps=accumulate_steps)

  @parameterized.parameters(
    ("relative", (1, 1, 1, 1, 0, 0, 1, 0), 2),
    ("relative", (0, 0, 0, 0, 0, 1, 0, 0), 1),
    ("squared", (1, 1, 1, 1, 0, 0, 1, 0), 2),
  )
  def test_spatial_audio(self, kind, heard, accumulate_steps):
    gain = np.float32(heard) * np.float32([1, 2, 3, 1, 1, 1, 5, 1])
    batch = {
      keys.VIDEO: tf.constant(self.rng.integers(0, 256, (8, 1, 16, 32, 3)), tf.uint8),
      keys.AUDIO: tf.constant(
        self.rng.normal(0, 0.1, [8, 256, 4]) * gain[:, None, None], tf.float32
      ),
      keys.CHANNELS: tf.constant([[True, True, True, i != 2] for i in range(8)]),
    }
    self.check(
      lambda: SpatialAudio(_sound_field_network(), 9, loss=kind), batch, 10.0, accumulate_steps
    )

  def test_spatial_audio_without_any_sound(self):
    batch = {
      keys.VIDEO: tf.zeros([4, 1, 16, 32, 3], tf.uint8),
      keys.AUDIO: tf.zeros([4, 256, 4]),
      keys.CHANNELS: tf.ones([4, 4], tf.bool),
    }
    with two_replicas.strategy().scope():
      task = self.compiled(lambda: SpatialAudio(_sound_field_network(), 9), batch)
    before = [v.numpy() for v in task.trainable_variables]
    for found in two_replicas.step_of_halves(task, batch):
      self.assertEqual(found["loss"], 0.0)
    for variable, old in zip(task.trainable_variables, before):
      self.assertAllEqual(variable, old)


if __name__ == "__main__":
  tf.test.main()
