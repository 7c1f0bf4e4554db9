"""Tests of the network that generates sound fields, and of its parts."""

import functools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.models import front_end, r2plus1d
from avssl_tf.models.spatialization import (
  audio_unet,
  direct_unet,
  localizers,
  panorama_encoder,
  panorama_net,
  spatial_unet,
  time_steps,
)
from avssl_tf.spatial import ambisonics, directions
from tests import test_base


def _network(localizer=localizers.AttentionLocalizer, **settings):
  settings.setdefault("frame_net", panorama_net.PanoramaNet((4, 5), (2, 2)))
  frame_net = settings.pop("frame_net")
  return spatial_unet.SpatialUNet(
    front_end.VideoFrontEnd(),
    frame_net,
    localizer,
    8000,
    functools.partial(audio_unet.AudioUNet, widths=(3, 4, 5), time_strides=(1, 2, 2)),
    num_tracks=3,
    frame_length=64,
    hop_length=32,
    **settings,
  )


class AudioUNetTest(test_base.TestCase):

  def test_masks_have_the_shape_of_the_spectrogram(self):
    for frames, bins in ((8, 16), (9, 17), (1, 5)):
      net = audio_unet.AudioUNet(2, widths=(3, 4, 5), time_strides=(1, 2, 2), moment_dim=10)
      found = net(tf.constant(self.rng.normal(size=[2, frames, bins]), tf.float32))
      self.assert_shape(found["masks"], [2, frames, bins, 2], tf.float32)
      self.assertAllInRange(found["masks"], 0.0, 1.0)
      self.assert_shape(found["features"], [2, -(-frames // 4), 10], tf.float32)

  def test_bad_sizes(self):
    with self.assertRaisesRegex(ValueError, "0 tracks and 5 levels"):
      audio_unet.AudioUNet(num_tracks=0)
    with self.assertRaisesRegex(ValueError, "8 tracks and 1 levels"):
      audio_unet.AudioUNet(widths=(3,))
    for strides in ((1, 2), (2, 2, 2), (1, 3, 2)):
      with self.assertRaisesRegex(ValueError, "expected 1 and then 1 or 2 for each of the other 2"):
        audio_unet.AudioUNet(widths=(3, 4, 5), time_strides=strides)

  def test_time_may_stay_finer_than_frequency(self):
    net = audio_unet.AudioUNet(2, (3, 4, 5), time_strides=(1, 2, 1), moment_dim=7, activation=None)
    found = net(tf.constant(self.rng.normal(size=[2, 9, 17]), tf.float32))
    self.assert_shape(found["masks"], [2, 9, 17, 2], tf.float32)
    self.assert_shape(found["features"], [2, 5, 7], tf.float32)
    self.assertLess(np.min(found["masks"]), 0.0)

  def test_context_tells_in_its_time(self):
    net = audio_unet.AudioUNet(2, (3, 4), time_strides=(1, 2), moment_dim=4)
    level = tf.constant(self.rng.normal(size=[1, 32, 8]), tf.float32)
    context = np.zeros([1, 4, 3], np.float32)
    plain = net(level, tf.constant(context))["masks"].numpy()
    context[0, 3] = 10.0
    other = net(level, tf.constant(context))["masks"].numpy()
    self.assertAllClose(other[:, :16], plain[:, :16], atol=1e-6)
    self.assertNotAllClose(other[:, 28:], plain[:, 28:], atol=1e-3)


class PanoramaNetTest(test_base.TestCase):

  def test_turned_frames_give_turned_maps(self):
    net = panorama_net.PanoramaNet((4, 5), (2, 2))
    frames = tf.constant(self.rng.normal(size=[2, 3, 16, 32, 3]), tf.float32)
    maps = net(frames)
    self.assert_shape(maps, [2, 3, 4, 8, 5], tf.float32)
    for shift in (1, 5):
      turned = net(tf.roll(frames, 4 * shift, axis=3))
      self.assertAllClose(turned, tf.roll(maps, shift, axis=3), atol=1e-5)

  def test_beyond_a_pole_lies_the_other_side(self):
    x = tf.reshape(tf.range(16.0), [1, 2, 8, 1])
    wrapped = panorama_net.wrap(x)[0, :, :, 0]
    self.assertAllEqual(wrapped[1], [7, 0, 1, 2, 3, 4, 5, 6, 7, 0])
    self.assertAllEqual(wrapped[0], [3, 4, 5, 6, 7, 0, 1, 2, 3, 4])
    self.assertAllEqual(wrapped[3], [11, 12, 13, 14, 15, 8, 9, 10, 11, 12])

  def test_bad_sizes(self):
    with self.assertRaisesRegex(ValueError, "2 widths and 1 strides"):
      panorama_net.PanoramaNet((4, 5), (2,))


class PanoramaEncoderTest(test_base.TestCase):

  def encoder(self, margin, stage="conv5x"):
    video_net = r2plus1d.R2Plus1D(6, stem="avsa", stem_kernel=(1, 3, 3), stage_widths=(3, 4, 5, 6))
    return panorama_encoder.PanoramaEncoder(video_net, stage, margin)

  def test_turned_frames_give_turned_maps(self):
    frames = tf.constant(self.rng.normal(size=[2, 4, 32, 64, 3]), tf.float32)
    layer = self.encoder(margin=64)
    maps = layer(frames)
    self.assert_shape(maps, [2, 1, 2, 4, 6], tf.float32)
    self.assertAllClose(layer(tf.roll(frames, 16, axis=3)), tf.roll(maps, 1, axis=3), atol=1e-5)
    # Without circular padding there is a seam.
    plain = layer.encoder(frames)["conv5x"]
    self.assertNotAllClose(plain[..., 0, :], maps[..., 0, :], atol=1e-3)
    fine = self.encoder(16, "conv4x")(frames)
    self.assert_shape(fine, [2, 1, 4, 8, 5], tf.float32)

  def test_bad_settings(self):
    with self.assertRaisesRegex(ValueError, "the stage 'pooled' and a margin of 16"):
      self.encoder(16, "pooled")
    frames = tf.zeros([1, 2, 16, 32, 3])
    with self.assertRaisesRegex(ValueError, "margin is 64; expected at most .*, 32"):
      self.encoder(64)(frames)
    with self.assertRaisesRegex(ValueError, "margin is 8 .*expected multiples of the stride"):
      self.encoder(8)(frames)


class AttentionLocalizerTest(test_base.TestCase):

  def test_looks_where_the_map_answers(self):
    layer = localizers.AttentionLocalizer(num_tracks=2, key_dim=2)
    picture = np.zeros([1, 1, 6, 12, 2], np.float32)
    picture[0, 0, 1, 2, 0] = 1.0  # Matches the query of the first track,
    picture[0, 0, 4, 9, 1] = 1.0  # and of the second track.
    sound = np.ones([1, 1, 1], np.float32)
    features = {"audio": sound, "video": picture}
    layer(features)
    layer.query.set_weights([np.float32([[100, 0, 0, 100]]), np.zeros(4, np.float32)])
    layer.key.set_weights([np.eye(2, dtype=np.float32), np.zeros(2, np.float32)])
    layer.gain.set_weights([np.zeros([1, 2], np.float32), np.float32([np.log(np.e - 1)] * 2)])
    found = layer(features)
    self.assert_shape(found, [1, 1, 2, 3], tf.float32)
    azimuth, elevation = ambisonics.pixel_directions(6, 12)
    for track, place in enumerate([(1, 2), (4, 9)]):
      x, y, z = directions.unit_vectors(azimuth[place], elevation[place]).numpy()
      self.assertAllClose(found[0, 0, track], [y, z, x], atol=1e-4)

  def test_who_knows_nothing_looks_everywhere(self):
    layer = localizers.AttentionLocalizer(num_tracks=1)
    features = {"audio": tf.zeros([1, 1, 4]), "video": tf.zeros([1, 1, 16, 32, 3])}
    found = layer(features)
    shares = layer.attention(features)
    self.assertAllClose(tf.reduce_sum(shares), 1.0)
    # By area: as much within 30° of the horizon as beyond.
    self.assertAllClose(tf.reduce_sum(shares[0, 0, 0, 5:11]), 0.55, atol=0.02)
    self.assertAllClose(found, tf.zeros([1, 1, 1, 3]), atol=1e-6)


class SpatialUNetTest(test_base.TestCase, parameterized.TestCase):

  def batch(self, size=2, frames=2, samples=500):
    return {
      "audio": tf.constant(self.rng.normal(0, 0.1, [size, samples, 4]), tf.float32),
      "video": tf.constant(self.rng.integers(0, 256, [size, frames, 16, 32, 3]), tf.uint8),
    }

  @parameterized.parameters(localizers.AttentionLocalizer, localizers.DenseLocalizer)
  def test_field_of_the_whole_recording(self, localizer):
    network, batch = _network(localizer), self.batch()
    self.assert_shape(network(batch), [2, 3, 17, 33], tf.complex64)
    field = network.generate(batch)
    self.assert_shape(field, [2, 500, 4], tf.float32)
    self.assertAllEqual(field[..., 0], batch["audio"][..., 0])
    # The other channels are not used.
    mono = {**batch, "audio": batch["audio"][..., :1]}
    self.assertAllClose(network.generate(mono), field, atol=1e-6)

  @parameterized.parameters(True, False)
  def test_a_turned_picture_turns_the_field(self, masks):
    network, batch = _network(masks=masks), self.batch()
    field = network.generate(batch)
    columns = 12  # A multiple of the stride, to the left.
    turned = {**batch, "video": tf.roll(batch["video"], -columns, axis=3)}
    rotation = directions.rotation(tf.constant(2 * np.pi * columns / 32, tf.float32))
    expected = ambisonics.rotate(field, rotation)
    self.assertAllClose(network.generate(turned), expected, atol=1e-5)
    self.assertNotAllClose(field, expected, atol=1e-4)

  def test_loudness_goes_through(self):
    network, batch = _network(), self.batch()
    loud = {**batch, "audio": batch["audio"] * 5.0}
    self.assertAllClose(
      network.generate(loud), 5.0 * network.generate(batch), rtol=1e-3, atol=1e-4
    )

  def test_without_masks_all_frequencies_come_from_one_direction(self):
    weights = _network(masks=False)(self.batch())
    self.assertAllEqual(weights, tf.repeat(weights[..., :1], 33, axis=-1))
    weights = _network()(self.batch())
    self.assertNotAllClose(weights, tf.repeat(weights[..., :1], 33, axis=-1))

  def test_silence_stays_silent(self):
    batch = self.batch()
    batch["audio"] = tf.zeros_like(batch["audio"])
    self.assertAllEqual(_network().generate(batch), batch["audio"])

  def test_flow_alone_and_beside_frames(self):
    batch = self.batch()
    batch["flow"] = batch["video"][::-1]
    alone = _network(frame_net=None, flow_net=panorama_net.PanoramaNet((4, 5), (2, 2)))
    both = _network(flow_net=panorama_net.PanoramaNet((4, 3), (2, 2), name="flow_net"))
    for network, changed, matters in (
      (alone, "video", False), (alone, "flow", True), (both, "video", True), (both, "flow", True)
    ):
      field = network.generate(batch)
      other = network.generate({**batch, changed: batch[changed] // 2})
      self.assertEqual(not np.allclose(field, other, atol=1e-6), matters)
    other = _network(flow_net=panorama_net.PanoramaNet((4,), (2,), name="flow_net"))
    with self.assertRaisesRegex(ValueError, "frame_net returns maps of .*, flow_net of"):
      other(batch)

  def test_by_the_picture_or_by_the_sound_alone(self):
    batch = self.batch()
    by_picture = _network(localize_by_sound=False, masks=False)
    weights = by_picture(batch)
    self.assertAllClose(by_picture({**batch, "audio": batch["audio"][::-1]}), weights)
    by_sound = _network(localizers.DenseLocalizer, frame_net=None)
    weights = by_sound(batch)
    self.assertAllClose(by_sound({"audio": batch["audio"]}), weights)
    with self.assertRaisesRegex(ValueError, "requires visual maps, and there is neither"):
      _network(frame_net=None)(batch)
    with self.assertRaisesRegex(ValueError, "there are no features for localisation"):
      _network(frame_net=None, localize_by_sound=False)

  def test_weights_of_a_u_net_alone(self):
    network = direct_unet.DirectUNet(
      front_end.VideoFrontEnd(),
      panorama_net.PanoramaNet((4, 5), (2, 2)),
      8000,
      functools.partial(audio_unet.AudioUNet, widths=(3, 4, 5), time_strides=(1, 2, 2)),
      picture_dims=(3, 4),
      frame_length=64,
      hop_length=32,
    )
    batch = self.batch()
    weights = network(batch)
    self.assert_shape(weights, [2, 3, 17, 33], tf.complex64)
    self.assertGreater(np.std(tf.math.imag(weights)), 0.0)
    self.assert_shape(network.generate(batch), [2, 500, 4], tf.float32)
    self.assertNotAllClose(network({**batch, "video": batch["video"] // 2}), weights)

  def test_windows_must_overlap(self):
    with self.assertRaisesRegex(ValueError, "frame_length is 64 and hop_length 33"):
      spatial_unet.SpatialUNet(None, None, None, 8000, frame_length=64, hop_length=33)


class TimeStepsTest(test_base.TestCase):

  def test_linear_between_the_middles(self):
    values = tf.constant([[0.0, 10.0]])[..., tf.newaxis]
    found = time_steps.resample(values, 4)[0, :, 0]
    # Middles at 1/4 and 3/4 of the time, asked for at 1/8, 3/8, 5/8, 7/8.
    self.assertAllClose(found, [0.0, 2.5, 7.5, 10.0])
    self.assertAllClose(time_steps.resample(values, 1)[0, :, 0], [5.0])
    self.assertAllClose(time_steps.resample(values, 2), values)
    constant = tf.ones([2, 1, 3, 4])
    self.assertAllClose(time_steps.resample(constant, 5), tf.ones([2, 5, 3, 4]))


if __name__ == "__main__":
  tf.test.main()
