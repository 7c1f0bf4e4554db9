"""Tests of training networks that generate sound fields."""

import numpy as np
import tensorflow as tf

from avssl_tf.spatial import ambisonics, directions
from avssl_tf.tasks.spatial_audio import SpatialAudio
from tests import test_base, tiny_av_model, tiny_generator


class SpatialAudioTest(test_base.TestCase):

  def clips(self, count):
    """A bright patch somewhere on the horizon of a dark picture, and noise from there."""
    columns = self.rng.integers(0, 32, count)
    video = self.rng.integers(0, 40, [count, 1, 16, 32, 3]).astype(np.uint8)
    for i, column in enumerate(columns):
      video[i, 0, 6:10, column] = 250
    azimuth_rad = np.float32(np.pi - 2 * np.pi * (columns + 0.5) / 32)
    noise = self.rng.normal(0, 0.1, [count, 256, 1]).astype(np.float32)
    vectors = directions.unit_vectors(tf.constant(azimuth_rad), tf.zeros(count)).numpy()
    field = np.concatenate([noise, noise * vectors[:, np.newaxis, [1, 2, 0]]], axis=-1)
    return {
      "audio": tf.constant(field),
      "video": tf.constant(video),
      "channels": tf.ones([count, 4], tf.bool),
    }

  def test_learns_where_sound_comes_from(self):
    task = SpatialAudio(tiny_generator.network(), num_videos=1)
    task.compile(optimizer=tf.keras.optimizers.Adam(1e-2))
    step = tf.function(task.train_step)
    errors_db = [float(step(self.clips(16))["error_db"]) for _ in range(60)]
    self.assertGreater(errors_db[0], -3.0)
    self.assertLess(np.mean(errors_db[-5:]), -10.0)
    # On new clips, which are generated at random.
    clips = self.clips(8)
    field = task.network.generate({**clips, "audio": clips["audio"][..., :1]}).numpy()
    error = np.sum((field - clips["audio"]) ** 2) / np.sum(clips["audio"][..., 1:] ** 2)
    self.assertLess(10 * np.log10(error), -8.0)
    maps = [ambisonics.energy_map(tf.constant(f), 16, 32) for f in (field, clips["audio"])]
    found, expected = (np.argmax(tf.reduce_max(m, axis=1), axis=1) for m in maps)
    near = np.minimum((found - expected) % 32, (expected - found) % 32)
    self.assertLess(np.median(near), 3)

  def test_what_a_clip_lacks_has_no_part_in_the_loss(self):
    task = SpatialAudio(tiny_generator.network(), num_videos=1)
    task.compile(optimizer=tf.keras.optimizers.SGD(0.0))
    clips = self.clips(4)
    loud = {**clips, "audio": clips["audio"] * [1.0, 1.0, 50.0, 1.0]}
    losses = []
    for audio in (clips["audio"], loud["audio"] + [0.0, 0.0, 0.1, 0.0]):
      for has_z in (True, False):
        channels = tf.constant([[True, True, has_z, True]] * 4)
        batch = {**clips, "audio": audio, "channels": channels}
        losses.append(float(task.train_step(batch)["loss"]))
    self.assertAllClose(losses[1], losses[3])
    self.assertNotAllClose(losses[0], losses[2])
    silent = {**clips, "channels": tf.zeros([4, 4], tf.bool)}
    self.assertEqual(float(task.train_step(silent)["loss"]), 0.0)

  def test_bad_settings(self):
    with self.assertRaisesRegex(ValueError, "SpatialAudio.loss is 'l2'"):
      SpatialAudio(tiny_generator.network(), 1, loss="l2")
    with self.assertRaisesRegex(ValueError, "trains a SpatialUNet, got AudioVisualModel"):
      SpatialAudio(tiny_av_model.make(), 1)


if __name__ == "__main__":
  tf.test.main()
