"""The audio network: shapes, options, errors. Golden numbers: reference_weights_test.py."""

import tensorflow as tf

from avssl_tf.models import audio_net
from tests import test_base


def _num_trainable(layer):
  return sum(v.shape.num_elements() for v in layer.trainable_variables)


class AudioNetTest(test_base.TestCase):

  def test_shapes_of_the_stages(self):
    maps = audio_net.AudioNet(width_multiplier=1 / 16)(tf.zeros([2, 64, 65, 1]))
    self.assert_shape(maps["conv1"], (2, 32, 33, 4))
    self.assert_shape(maps["conv2x"], (2, 16, 17, 4))
    self.assert_shape(maps["conv3x"], (2, 8, 9, 8))
    self.assert_shape(maps["conv4x"], (2, 4, 5, 16))
    self.assert_shape(maps["conv5x"], (2, 4, 5, 32))
    self.assert_shape(maps["pooled"], (2, 32), tf.float32)

  def test_ambisonics_network(self):
    net = audio_net.AudioNet(stage_strides=(1, 2, 2, 1))
    maps = net(tf.zeros([1, 100, 128, 4]))
    self.assert_shape(maps["conv2x"], (1, 50, 64, 64))
    self.assert_shape(maps["conv5x"], (1, 13, 16, 512))
    # Four input channels in place of one add 3 x 7 x 7 x 64 weights to the network of AVID.
    self.assertEqual(_num_trainable(net), 4_725_696 + 3 * 7 * 7 * 64)

  def test_strides_by_axis(self):
    net = audio_net.AudioNet(width_multiplier=1 / 16, stage_strides=((1, 2), 1, 2, (2, 1)))
    maps = net(tf.zeros([1, 32, 32, 1]))
    self.assert_shape(maps["conv2x"], (1, 16, 8, 4))
    self.assert_shape(maps["conv5x"], (1, 4, 4, 32))

  def test_bad_settings(self):
    with self.assertRaisesRegex(ValueError, "5 stage_strides"):
      audio_net.AudioNet(stage_strides=(1, 1, 1, 1, 1))


if __name__ == "__main__":
  tf.test.main()
