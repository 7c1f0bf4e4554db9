"""What every layer of `avssl_tf.models` must do, and a check that none is left out."""

import importlib
import inspect
import os
import pkgutil
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf import models, spectrograms
from avssl_tf.models import (
  alignment_model,
  audio_net,
  av_model,
  convolution,
  fpn,
  front_end,
  projection,
  r2plus1d,
  translation,
)
from avssl_tf.models.spatialization import (
  audio_unet,
  direct_unet,
  localizers,
  panorama_encoder,
  panorama_net,
  spatial_unet,
)
from tests import test_base

_STRIDES = ((1, 2, 2), (2, 1, 1), (2, 2, 2), (1, 1, 1))
_WIDTHS = (3, 4, 5, 6)


def _video_net(depth=6):
  return r2plus1d.R2Plus1D(
    depth, stem_kernel=(3, 5, 5), stage_widths=_WIDTHS, stage_strides=_STRIDES
  )


def _audio_front_end(layer_class=front_end.AudioFrontEnd):
  spectrogram = spectrograms.Spectrogram(
    sample_rate_hz=8000, fft_length=64, hop_length=32, num_bins=17
  )
  layer = layer_class(spectrogram)
  layer.set_statistics(np.linspace(-40, -20, 17), np.linspace(5, 10, 17))
  return layer


def _av_model():
  return av_model.AudioVisualModel(
    front_end.VideoFrontEnd(),
    _video_net(),
    projection.MLPHead((5, 4), batch_norm=True, name="video_head"),
    _audio_front_end(),
    audio_net.AudioNet(stage_widths=_WIDTHS),
    projection.MLPHead((5, 4), name="audio_head"),
  )


def _translation():
  return translation.FeatureTranslation(
    lambda name: projection.MLPHead((4,), name=name),
    lambda name: translation.Transformer(dropout=0.0, name=name),
  )


def _alignment_model():
  return alignment_model.AlignmentModel(
    front_end.VideoFrontEnd(),
    _video_net(),
    _audio_front_end(front_end.AmbisonicFrontEnd),
    audio_net.AudioNet(stage_widths=_WIDTHS),
    _translation(),
  )


def _spatial_unet():
  return spatial_unet.SpatialUNet(
    front_end.VideoFrontEnd(),
    panorama_net.PanoramaNet((4, 5), (2, 2)),
    localizers.AttentionLocalizer,
    8000,
    _audio_unet,
    num_tracks=2,
    frame_length=64,
    hop_length=32,
  )


def _direct_unet():
  return direct_unet.DirectUNet(
    front_end.VideoFrontEnd(),
    panorama_net.PanoramaNet((4, 5), (2, 2)),
    8000,
    _audio_unet,
    picture_dims=(3, 4),
    frame_length=64,
    hop_length=32,
  )


def _audio_unet(num_tracks, activation="sigmoid"):
  return audio_unet.AudioUNet(num_tracks, (3, 4, 5), (1, 2, 2), 6, activation)


_FLOAT = tf.float32
_PANORAMAS = {"video": ((2, 2, 16, 32, 3), tf.uint8), "audio": ((2, 500, 4), _FLOAT)}
_PYRAMID_MAPS = {
  "conv2x": ((2, 4, 8, 8, 3), _FLOAT),
  "conv3x": ((2, 4, 4, 4, 4), _FLOAT),
  "conv4x": ((2, 2, 4, 4, 5), _FLOAT),
  "conv5x": ((2, 1, 2, 2, 6), _FLOAT),
}
_SOUND_AND_MAPS = {"audio": ((2, 2, 6), _FLOAT), "video": ((2, 2, 4, 8, 3), _FLOAT)}
_MAP_3D = ((2, 4, 6, 6, 3), _FLOAT)
_MAP_2D = ((2, 8, 10, 3), _FLOAT)
_FRAMES = ((2, 4, 16, 16, 3), tf.uint8)
_WAVEFORM = ((2, 512, 1), _FLOAT)

# Class: how to make one, its input, and which of its outputs stay float32 in mixed precision.
_LAYERS = {
  convolution.Conv2D: (lambda: convolution.Conv2D(4, (3, 3), (2, 1)), _MAP_2D, ()),
  convolution.Conv3D: (lambda: convolution.Conv3D(4, (3, 3, 3), (1, 2, 2)), _MAP_3D, ()),
  convolution.BatchNorm: (convolution.BatchNorm, _MAP_3D, ()),
  r2plus1d.SpatialTemporalConv: (
    lambda: r2plus1d.SpatialTemporalConv(4, (2, 2, 2)), _MAP_3D, (),
  ),
  r2plus1d.ResidualBlock: (lambda: r2plus1d.ResidualBlock(4, (2, 2, 2)), _MAP_3D, ()),
  r2plus1d.R2Plus1D: (lambda: _video_net(10), ((2, 4, 16, 16, 3), _FLOAT), ("pooled",)),
  audio_net.ConvBlock: (lambda: audio_net.ConvBlock(4, (2, 2)), _MAP_2D, ()),
  audio_net.AudioNet: (
    lambda: audio_net.AudioNet(stage_widths=_WIDTHS), ((2, 16, 17, 1), _FLOAT), ("pooled",),
  ),
  projection.MLPHead: (lambda: projection.MLPHead((5, 4), batch_norm=True), ((3, 6), _FLOAT), None),
  front_end.VideoFrontEnd: (front_end.VideoFrontEnd, _FRAMES, None),
  front_end.AudioFrontEnd: (_audio_front_end, _WAVEFORM, None),
  front_end.AmbisonicFrontEnd: (
    lambda: _audio_front_end(front_end.AmbisonicFrontEnd), ((2, 512, 4), _FLOAT), None,
  ),
  translation.TransformerLayer: (
    lambda: translation.TransformerLayer(6, num_heads=2, dropout=0.0), ((2, 3, 6), _FLOAT), (),
  ),
  translation.Transformer: (
    lambda: translation.Transformer(1, dropout=0.0, normalization="pre"), ((2, 3, 6), _FLOAT), (),
  ),
  translation.FeatureTranslation: (
    _translation,
    {"video": ((2, 3, 6), _FLOAT), "audio": ((2, 3, 6), _FLOAT)},
    None,
  ),
  av_model.AudioVisualModel: (_av_model, {"video": _FRAMES, "audio": _WAVEFORM}, None),
  fpn.TimePool: (fpn.TimePool, _MAP_3D, ()),
  fpn.FeaturePyramid: (
    lambda: fpn.FeaturePyramid(5, pyramid_dim=4, head_dim=4, num_groups=2), _PYRAMID_MAPS, None,
  ),
  audio_unet.AudioUNet: (
    lambda: _audio_unet(2), ((2, 9, 17), _FLOAT), None,
  ),
  panorama_net.PanoramaConv: (
    lambda: panorama_net.PanoramaConv(4, 2), ((2, 8, 16, 3), _FLOAT), (),
  ),
  panorama_encoder.PanoramaEncoder: (
    lambda: panorama_encoder.PanoramaEncoder(_video_net(), margin=16),
    ((2, 2, 16, 32, 3), _FLOAT), None,
  ),
  panorama_net.PanoramaNet: (
    lambda: panorama_net.PanoramaNet((4, 5), (2, 2)), ((2, 2, 8, 16, 3), _FLOAT), None,
  ),
  localizers.AttentionLocalizer: (
    lambda: localizers.AttentionLocalizer(2, key_dim=4), _SOUND_AND_MAPS, None,
  ),
  localizers.DenseLocalizer: (
    lambda: localizers.DenseLocalizer(2, (3, 4), 5, (6,)), _SOUND_AND_MAPS, None,
  ),
  spatial_unet.SpatialUNet: (_spatial_unet, _PANORAMAS, None),
  direct_unet.DirectUNet: (_direct_unet, _PANORAMAS, None),
  alignment_model.AlignmentModel: (
    _alignment_model,
    {"video": ((2, 3, 4, 16, 16, 3), tf.uint8), "audio": ((2, 3, 512, 4), _FLOAT)},
    None,
  ),
}  # None: all of them.


def _public_layers():
  """Every layer class that a module of `avssl_tf.models` defines; not bases, which are abstract."""
  found = set()
  for info in pkgutil.walk_packages(models.__path__, f"{models.__name__}."):
    module = importlib.import_module(info.name)
    for name, value in vars(module).items():
      if inspect.isclass(value) and issubclass(value, tf.keras.layers.Layer):
        is_public = value.__module__ == module.__name__ and not name.startswith("_")
        if is_public and not inspect.isabstract(value):
          found.add(value)
  return found


class ConformanceTest(test_base.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")

  def make(self, layer_class):
    """A built layer whose variables are not at their start, an input, and the float32 outputs."""
    make, spec, float32 = _LAYERS[layer_class]

    def random_input(shape, dtype):
      if dtype == tf.uint8:
        return tf.constant(self.rng.integers(0, 256, shape), tf.uint8)
      return tf.constant(self.rng.normal(0, 0.3, shape), tf.float32)

    inputs = (
      {name: random_input(*s) for name, s in spec.items()}
      if isinstance(spec, dict) else random_input(*spec)
    )
    layer = make()
    layer(inputs)
    return layer, inputs, float32

  def disturb(self, layer):
    for variable in layer.variables:
      variable.assign(variable * 1.25 + 0.25)

  def test_no_layer_is_missing_from_the_table(self):
    self.assertEqual(_public_layers(), set(_LAYERS))

  @parameterized.parameters(*_LAYERS)
  def test_eager_equals_graph(self, layer_class):
    layer, inputs, _ = self.make(layer_class)
    self.disturb(layer)
    tf.nest.map_structure(
      lambda a, b: self.assertAllClose(a, b, rtol=1e-4, atol=1e-5),
      layer(inputs),
      tf.function(layer)(inputs),
    )

  @parameterized.parameters(*_LAYERS)
  def test_checkpoint_restores(self, layer_class):
    layer, inputs, _ = self.make(layer_class)
    self.disturb(layer)
    expected = layer(inputs)
    with tempfile.TemporaryDirectory() as folder:
      path = tf.train.Checkpoint(layer=layer).write(os.path.join(folder, "checkpoint"))
      restored = self.make(layer_class)[0]
      tf.train.Checkpoint(layer=restored).read(path).assert_consumed()
    tf.nest.map_structure(self.assertAllEqual, expected, restored(inputs))

  @parameterized.parameters(*_LAYERS)
  def test_saved_model_gives_the_same(self, layer_class):
    layer, inputs, _ = self.make(layer_class)
    self.disturb(layer)
    module = tf.Module()
    module.variables_of_layer = layer.variables
    spec = tf.nest.map_structure(lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), inputs)
    module.call = tf.function(lambda x: layer(x, **_inference(layer)), input_signature=[spec])
    with tempfile.TemporaryDirectory() as folder:
      tf.saved_model.save(module, folder)
      loaded = tf.saved_model.load(folder)
      # Another batch size than the layer was built with.
      one = tf.nest.map_structure(lambda x: x[:1], inputs)
      found = loaded.call(one)
    tf.nest.map_structure(
      lambda a, b: self.assertAllClose(a, b, rtol=1e-4, atol=1e-5), layer(one), found
    )

  @parameterized.parameters(*_LAYERS)
  def test_mixed_precision(self, layer_class):
    expected_layer, inputs, float32 = self.make(layer_class)
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    layer = self.make(layer_class)[0]
    for variable, value in zip(layer.variables, expected_layer.variables):
      self.assertEqual(variable.dtype, tf.float32)
      variable.assign(value)
    outputs, expected = _real(layer(inputs)), _real(expected_layer(inputs))
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    expected = expected if isinstance(expected, dict) else {"": expected}
    for name, output in named.items():
      dtype = tf.float32 if float32 is None or name in float32 else tf.bfloat16
      for x, y in zip(tf.nest.flatten(output), tf.nest.flatten(expected[name])):
        self.assertEqual(x.dtype, dtype)
        # bfloat16 has 8 significant bits, and errors add up over a few layers.
        error = tf.norm(tf.cast(x, tf.float32) - y) / tf.norm(y)
        self.assertLess(float(error), 0.05)

  @parameterized.parameters(*_LAYERS)
  def test_every_trainable_variable_has_a_gradient(self, layer_class):
    layer, inputs, _ = self.make(layer_class)
    if not layer.trainable_variables:
      self.assertEqual(layer_class.__module__, front_end.__name__)
      return
    with tf.GradientTape() as tape:
      outputs = tf.nest.flatten(_real(layer(inputs, **_inference(layer, training=True))))
      loss = tf.add_n([tf.reduce_sum(x * tf.random.normal(x.shape)) for x in outputs])
    gradients = tape.gradient(loss, layer.trainable_variables)
    for variable, gradient in zip(layer.trainable_variables, gradients):
      self.assertIsNotNone(gradient, variable.name)
      self.assertTrue(np.all(np.isfinite(gradient)), variable.name)


def _real(outputs):
  """Outputs with complex ones as their real and imaginary parts."""
  def parts(x):
    return tf.stack([tf.math.real(x), tf.math.imag(x)]) if x.dtype.is_complex else x

  return tf.nest.map_structure(parts, outputs)


def _inference(layer, training=False):
  """The `training` argument, for layers that have one."""
  return {"training": training} if "training" in inspect.signature(layer.call).parameters else {}


if __name__ == "__main__":
  tf.test.main()
