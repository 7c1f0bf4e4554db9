"""Tests that networks loaded from runs and SavedModels equal the trained networks."""

import os
import shutil
import unittest

import gin
import numpy as np
import tensorflow as tf

from avssl_tf.data.records import dataset_info
from avssl_tf.errors import UserError
from avssl_tf.inference import serving
from avssl_tf.inference.encoder import STAGES
from avssl_tf.training import checkpoints, loading, run_folder, strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import source_tree, tiny_alignment, tiny_run


class LoadTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # One run of the real networks, and its SavedModel, shared by all tests.
    folder = os.path.dirname(cls.data_dir)
    cls.model_dir, cls.saved_model = os.path.join(folder, "run"), os.path.join(folder, "exported")
    os.mkdir(cls.model_dir)
    tiny = os.path.join(folder, "tiny.gin")
    with open(tiny, "w", encoding="utf-8") as f:
      f.write(tiny_run.GIN)
    configuration.parse(
      [str(source_tree.ROOT / "gin/avid.gin"), tiny],
      [
        f'data_dir = "{cls.data_dir}"', "num_epochs = 1", "train.probe = None",
        "train.fill_memory = False", "ClipSpec.sample_rate_hz = None",
      ],
    )  # fmt: skip
    trainer.train(model_dir=cls.model_dir, strategy=strategies.create())
    loaded = loading.load(cls.model_dir)
    serving.export(loaded.network, loaded.input_spec, cls.saved_model)
    cls.model = loaded.network
    gin.clear_config()
    rng = np.random.default_rng(0)
    cls.frames = tf.constant(rng.integers(0, 256, (2, 2, 16, 16, 3)), tf.uint8)
    cls.waveform = tf.constant(rng.normal(0, 0.1, (2, 2400, 1)), tf.float32)

  def check_same(self, found, model):
    """Checks that an encoder or a model has the same outputs as `model`."""
    for name, value in (
      ("embed_video", self.frames),
      ("embed_audio", self.waveform),
      ("video_maps", self.frames),
      ("audio_maps", self.waveform),
    ):
      outputs, expected = getattr(found, name)(value), getattr(model, name)(value)
      self.assertEqual(set(outputs), set(expected))
      if name.endswith("maps"):
        self.assertLessEqual(set(STAGES), set(outputs))
      for key, array in expected.items():
        np.testing.assert_allclose(outputs[key], array, rtol=1e-4, atol=1e-5, err_msg=key)
    np.testing.assert_allclose(
      found.embed_video_positions(self.frames),
      model.embed_video_positions(self.frames),
      rtol=1e-4,
      atol=1e-5,
    )

  def test_run_and_saved_model_are_the_same(self):
    for path in (self.model_dir, self.saved_model):
      loaded = loading.load(path)
      self.check_same(loaded.encoder, self.model)
      clip = loaded.encoder.clip
      # Records of any sample rate must be resampled to that of the network.
      self.assertEqual(clip.sample_rate_hz, 8000)
      self.assertEqual((clip.num_frames, clip.frame_size, clip.audio_sec), (2, 16, 0.3))
      self.assertEqual((loaded.encoder.sample_rate_hz, loaded.encoder.num_channels), (8000, 1))
    self.assertIsNone(loaded.encoder.make_model)
    self.assertIsNone(loaded.data_dir)
    with self.assertRaisesRegex(UserError, "is a SavedModel, which contains no layers"):
      loaded.network  # noqa: B018
    with self.assertRaisesRegex(UserError, "contains no network that generates sound fields"):
      loaded.generator  # noqa: B018
    self.assertEqual(loading.load(self.model_dir).data_dir, self.data_dir)

  def test_works_in_graphs(self):
    loaded = loading.load(self.saved_model).encoder
    embed = tf.function(lambda frames: loaded.embed_video(frames)["features"])
    np.testing.assert_allclose(
      embed(self.frames), self.model.embed_video(self.frames)["features"], rtol=1e-4, atol=1e-5
    )

  def test_present_configuration_stays(self):
    gin.parse_config("R2Plus1D.depth = 10\nClipSpec.num_frames = 5")
    before = gin.config_str()
    encoder = loading.load(self.model_dir).encoder
    self.assertEqual(gin.config_str(), before)
    self.assertEqual(encoder.clip.num_frames, 2)
    self.check_same(encoder.make_model(), self.model)
    self.assertEqual(gin.config_str(), before)

  def test_copies_are_apart(self):
    encoder = loading.load(self.model_dir).encoder
    copy = encoder.make_model()
    copy.video_net.conv1.kernel.assign(copy.video_net.conv1.kernel * 2)
    self.check_same(encoder, self.model)
    self.check_same(encoder.make_model(), self.model)

  def test_untrained_copies(self):
    encoder = loading.load(self.model_dir).encoder
    copies = []
    for seed in (1, 1, 2):
      tf.keras.utils.set_random_seed(seed)
      copies.append(encoder.make_model(trained=False))
    kernels = [copy.audio_net.conv1.kernel.numpy() for copy in copies]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    self.assertFalse(np.allclose(kernels[0], kernels[2]))
    self.assertFalse(np.allclose(kernels[0], self.model.audio_net.conv1.kernel))
    # Statistics of the data are not weights.
    statistics = self.model.audio_front_end
    np.testing.assert_array_equal(copies[0].audio_front_end.mean, statistics.mean)
    np.testing.assert_array_equal(copies[0].audio_front_end.std, statistics.std)

  def test_weights_are_told_apart(self):
    for path in (self.model_dir, self.saved_model):
      self.assertEqual(loading.load(path).weights, loading.load(path).weights)
    copy = self.path("copy")
    shutil.copytree(self.model_dir, copy)
    self.assertEqual(loading.load(copy).weights, loading.load(self.model_dir).weights)
    model = loading.load(copy).encoder.make_model()
    model.video_net.conv1.kernel.assign(model.video_net.conv1.kernel * 2)
    shutil.rmtree(os.path.join(copy, run_folder.CHECKPOINTS))
    checkpoints.write(copy, model, None)
    first = loading.load(copy).weights
    model.video_net.conv1.kernel.assign(model.video_net.conv1.kernel * 2)
    shutil.rmtree(os.path.join(copy, run_folder.CHECKPOINTS))
    checkpoints.write(copy, model, None)
    second = loading.load(copy).weights
    self.assertEqual(first.split()[0], second.split()[0])
    self.assertNotEqual(first, second)

  def test_folders_of_other_things(self):
    for path in (self.data_dir, "nowhere"):
      with self.assertRaisesRegex(configuration.ConfigurationError, "or of a SavedModel"):
        loading.load(path)

  def test_saved_models_of_others(self):
    foreign = self.path("foreign")
    shutil.copytree(self.saved_model, foreign)
    shutil.rmtree(os.path.join(foreign, "assets.extra"))
    with self.assertRaisesRegex(ValueError, "does not describe the input of the SavedModel"):
      loading.load(foreign)

  def test_saved_models_without_maps(self):
    old = self.path("old")
    module = tf.Module()
    module.embed = tf.function(
      lambda video: {"video_features": tf.zeros([1, 3]), "video_embedding": tf.zeros([1, 3])},
      [tf.TensorSpec([None, 2, 16, 16, 3], tf.uint8, "video")],
    )
    module.variable = tf.Variable(1.0)
    tf.saved_model.save(module, old, signatures={"embed_video": module.embed})
    shutil.copytree(os.path.join(self.saved_model, "assets.extra"), f"{old}/assets.extra")
    encoder = loading.load(old).encoder
    encoder.embed_video(self.frames)
    with self.assertRaisesRegex(ValueError, "no signature 'video_maps'.*Export it again"):
      encoder.video_maps(self.frames)
    with self.assertRaisesRegex(ValueError, "'embed_video_positions'.*Export it again"):
      encoder.embed_video_positions(self.frames)


class AlignmentTest(tiny_run.TestCase):

  def test_run_and_saved_model_translate_alike(self):
    data_dir = tiny_alignment.make_data(self.path("data"), num_train=8)
    gin_files = [str(source_tree.ROOT / "gin/avsa.gin")]
    settings = [*tiny_run.GIN.strip().splitlines(), f'data_dir = "{data_dir}"']
    settings = [line for line in settings if not line.startswith("AVID")]
    configuration.parse(gin_files, [*settings, "num_epochs = 1", "train.probe = None"])
    os.mkdir(self.path("run"))
    trainer.train(model_dir=self.path("run"), strategy=strategies.create())
    loaded = loading.load(self.path("run"))
    self.assertEqual(loaded.num_channels, 4)
    serving.export(loaded.network, loaded.input_spec, self.path("exported"))
    rng = np.random.default_rng(0)
    features = {
      modality: tf.constant(rng.normal(size=(2, 4, 4)), tf.float32)
      for modality in ("video", "audio")
    }
    expected = loaded.network.translate(features)
    for path in ("run", "exported"):
      encoder = loading.load(self.path(path)).encoder
      self.assertEqual(encoder.clip.viewpoints, loaded.clip.viewpoints)
      self.assertEqual(encoder.num_channels, 4)
      found = encoder.translate(features)
      self.assertEqual(set(found), {"translated", "target", "prediction"})
      for kind, by_modality in expected.items():
        for modality, value in by_modality.items():
          np.testing.assert_allclose(found[kind][modality], value, rtol=1e-4, atol=1e-5)
      views = tf.constant(rng.integers(0, 256, (2, 2, 16, 16, 3)), tf.uint8)
      np.testing.assert_allclose(
        encoder.embed_video(views)["embedding"],
        loaded.network.embed_video(views)["embedding"],
        rtol=1e-4,
        atol=1e-5,
      )
    # Ordinary records are used unchanged.
    ordinary = dataset_info.DatasetInfo.load(self.data_dir)
    self.assertIsNone(encoder.clip_of(ordinary).viewpoints)
    spherical = dataset_info.DatasetInfo.load(data_dir)
    self.assertIsNotNone(encoder.clip_of(spherical).viewpoints)


if __name__ == "__main__":
  unittest.main()
