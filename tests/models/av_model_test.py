"""The audio-visual model: what it gives, and what mixed precision must not touch."""

import numpy as np
import tensorflow as tf

from avssl_tf import keys, spectrograms
from avssl_tf.models import audio_net, av_model, front_end, projection, r2plus1d
from tests import test_base


class AudioVisualModelTest(test_base.TestCase):

  def make(self, video_dim=4, audio_dim=4):
    spectrogram = spectrograms.Spectrogram(fft_length=64, hop_length=32, num_bins=17)
    return av_model.AudioVisualModel(
      front_end.VideoFrontEnd(),
      r2plus1d.R2Plus1D(6, width_multiplier=1 / 16),
      projection.MLPHead((5, video_dim), name="video_head"),
      front_end.AudioFrontEnd(spectrogram),
      audio_net.AudioNet(width_multiplier=1 / 32),
      projection.MLPHead((5, audio_dim), name="audio_head"),
    )

  def batch(self):
    return {
      keys.VIDEO: tf.constant(self.rng.integers(0, 256, (2, 4, 32, 32, 3)), tf.uint8),
      keys.AUDIO: tf.constant(self.rng.normal(0, 0.1, (2, 640, 1)), tf.float32),
    }

  def test_outputs(self):
    model, batch = self.make(), self.batch()
    outputs = model(batch)
    self.assertEqual(set(outputs), {"video", "audio"})
    self.assert_shape(outputs["video"]["features"], (2, 32), tf.float32)
    self.assert_shape(outputs["audio"]["features"], (2, 16), tf.float32)
    for modality, embed in (("video", model.embed_video), ("audio", model.embed_audio)):
      embedding = outputs[modality]["embedding"]
      self.assert_shape(embedding, (2, 4), tf.float32)
      self.assertAllClose(tf.norm(embedding, axis=-1), tf.ones(2))
      self.assertAllClose(embed(batch[modality])["embedding"], embedding)
    self.assertEqual(model.embedding_dim, 4)

  def test_maps_of_the_stages(self):
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")
    for policy in ("float32", "mixed_bfloat16"):
      tf.keras.mixed_precision.set_global_policy(policy)
      model, batch = self.make(), self.batch()
      video, audio = model.video_maps(batch[keys.VIDEO]), model.audio_maps(batch[keys.AUDIO])
      for maps, rank in ((video, 5), (audio, 4)):
        self.assertEqual(
          set(maps), {"conv1", "conv2x", "conv3x", "conv4x", "conv5x", "pooled"}
        )
        for name, value in maps.items():
          self.assert_shape(value, (2,) + (None,) * ((2 if name == "pooled" else rank) - 1))
          self.assertEqual(value.dtype, tf.float32)
      self.assert_shape(video["conv4x"], (2, 1, 2, 2, 16))
      self.assert_shape(audio["conv4x"], (2, 2, 2, 8))
      outputs = model(batch)
      for modality, maps in (("video", video), ("audio", audio)):
        self.assertAllEqual(maps["pooled"], outputs[modality]["features"])
        axes = list(range(1, maps["conv5x"].shape.rank - 1))
        self.assertAllEqual(tf.reduce_max(maps["conv5x"], axes), maps["pooled"])

  def test_positions_are_embedded_by_the_head(self):
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")
    for policy in ("float32", "mixed_bfloat16"):
      tf.keras.mixed_precision.set_global_policy(policy)
      model, frames = self.make(), self.batch()[keys.VIDEO]
      model.embed_video(frames)
      found = model.embed_video_positions(frames)
      features = model.video_maps(frames)["conv5x"].numpy()
      self.assert_shape(found, (*features.shape[:-1], 4), tf.float32)
      for place in np.ndindex(*features.shape[:-1]):
        expected = model.video_head(features[place][np.newaxis])[0]
        self.assertAllClose(
          found[place], expected / np.linalg.norm(expected), rtol=1e-4, atol=1e-5
        )

  def test_one_position_is_the_whole(self):
    model = self.make()
    frames = tf.constant(self.rng.integers(0, 256, (2, 4, 16, 16, 3)), tf.uint8)
    found = model.embed_video_positions(frames)
    self.assert_shape(found, (2, 1, 1, 1, 4))
    self.assertAllClose(found[:, 0, 0, 0], model.embed_video(frames)["embedding"])

  def test_training_updates_batch_statistics(self):
    model, batch = self.make(), self.batch()
    model(batch)
    before = [v.numpy() for v in model.video_net.non_trainable_variables]
    model(batch, training=False)
    self.assertAllEqual(before[0], model.video_net.non_trainable_variables[0])
    model(batch, training=True)
    self.assertNotAllClose(before[0], model.video_net.non_trainable_variables[0])

  def test_waveforms_keep_their_bits_in_mixed_precision(self):
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model, batch = self.make(), self.batch()
    seen = []
    front = model.audio_front_end
    original = front.call
    front.call = lambda waveform: (seen.append(waveform), original(waveform))[1]
    model(batch)
    self.assertAllEqual(seen[-1], batch[keys.AUDIO])

  def test_heads_must_agree(self):
    with self.assertRaisesRegex(ValueError, "4 output dimensions, the audio head 6"):
      self.make(4, 6)


if __name__ == "__main__":
  tf.test.main()
