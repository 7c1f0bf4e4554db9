"""Tiny runs: a small demo data set and a network of two layers."""

import os
import shutil
import tempfile
import unittest
from typing import Any, Optional

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.building import demo
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.losses import avid
from avssl_tf.models import av_model, front_end, network
from avssl_tf.spectrograms import Spectrogram
from avssl_tf.tasks import instance_discrimination
from avssl_tf.training import checkpoints, run_folder, trainer
from avssl_tf.training.optimization import optimizers, schedules

NUM_VIDEOS = 24
# That of gin/base/demo.gin.
SPECTROGRAM = Spectrogram(
  kind="log_mel", sample_rate_hz=8000, fft_length=512, hop_length=150, num_bins=64
)
CLIP = ClipSpec(num_frames=2, frame_rate_hz=8.0, frame_size=16, audio_sec=0.3, max_offset_sec=0.1)
# The AVID of gin/avid.gin, at a tiny size.
GIN = """
batch_size = 8
num_epochs = 2
train.checkpoint_every_steps = 2
train.log_every_steps = 1
train.batch_pictures = 1
ClipSpec.num_frames = 2
ClipSpec.frame_size = 16
ClipSpec.audio_sec = 0.3
R2Plus1D.depth = 6
R2Plus1D.stage_widths = (4, 4, 4, 4)
AudioNet.stage_widths = (4, 4, 4, 4)
MLPHead.widths = (8, 4)
AVID.num_negatives = 8
"""


@gin.register(module="tiny_run")
class TinyNetwork(av_model.AudioVisualModel):
  """A substitute for the audio-visual model: a linear layer per tower, optionally batch norm."""

  embedding_dim = 4

  def __init__(self, batch_norm: bool = False):
    network.Network.__init__(self)  # It has no heads.
    self.video_front_end = front_end.VideoFrontEnd()
    self.audio_front_end = front_end.AudioFrontEnd(SPECTROGRAM)
    self.video_net = tf.keras.layers.Dense(self.embedding_dim)
    self.audio_net = tf.keras.layers.Dense(self.embedding_dim)
    self.norm = tf.keras.layers.BatchNormalization() if batch_norm else None

  def input_channels(self, shapes):
    return 1

  def embed_video(self, frames, training=False):
    x = self.video_net(tf.reduce_mean(self.video_front_end(frames), axis=[1, 2]))
    return self._outputs(tf.reduce_mean(x, axis=1), training)

  def embed_audio(self, waveform, training=False):
    x = tf.reduce_mean(self.audio_front_end(waveform), axis=[1, 3])
    return self._outputs(self.audio_net(x), training)

  def video_maps(self, frames, training=False):
    return {av_model.LAST_STAGE: tf.cast(self.video_net(self.video_front_end(frames)), tf.float32)}

  def audio_maps(self, waveform, training=False):
    x = tf.reduce_mean(self.audio_front_end(waveform), axis=3)
    return {av_model.LAST_STAGE: tf.cast(self.audio_net(x)[:, :, tf.newaxis], tf.float32)}

  def embed_video_positions(self, frames, training=False):
    return tf.math.l2_normalize(self.video_maps(frames)[av_model.LAST_STAGE], axis=-1)

  def call(self, batch, training=False):
    return {
      keys.VIDEO: self.embed_video(batch[keys.VIDEO], training),
      keys.AUDIO: self.embed_audio(batch[keys.AUDIO], training),
    }

  def _outputs(self, x, training):
    if self.norm is not None:
      x = self.norm(x, training=training)
    x = tf.cast(x, tf.float32)
    return {"features": x, "embedding": tf.math.l2_normalize(x, axis=-1)}


def make_data(folder: str, num_train: int = NUM_VIDEOS) -> str:
  """Builds a small demo data set in a folder; returns the folder."""
  data = demo.DemoData(PlanarWorld(num_train=num_train, num_test=8), SPECTROGRAM, folder)
  data.build_if_missing(num_workers=0)
  return folder


def train(data_dir: str, model_dir: str, strategy=None, **settings: Any) -> trainer.Result:
  """`trainer.train` of AVID on a `TinyNetwork`; `settings` override the gin bindings."""
  os.makedirs(model_dir, exist_ok=True)
  gin.clear_config()
  bindings = {
    "data_dir": data_dir,
    "network": TinyNetwork,
    "task": task,
    "optimizer": optimizers.Adam,
    "schedule": schedule,
    "clip": CLIP,
    "batch_size": 8,
    "num_epochs": 2,
    "checkpoint_every_steps": 2,
    "log_every_steps": 1,
    "batch_pictures": 0,
    **settings,
  }
  for name, value in bindings.items():
    gin.bind_parameter(f"train.{name}", value)
  return trainer.train(model_dir=model_dir, strategy=strategy or tf.distribute.get_strategy())


def task(**arguments) -> instance_discrimination.InstanceDiscrimination:
  """AVID with few negatives."""
  return instance_discrimination.InstanceDiscrimination(objective=objective, **arguments)


def objective(**arguments) -> avid.AVID:
  """AVID with few negatives."""
  return avid.AVID(num_negatives=8, **arguments)


def schedule(**arguments):
  """A cosine after a warm-up, with rates that change every weight in a few steps."""
  return schedules.cosine(learning_rate=1e-2, warmup_steps=3, **arguments)


def saved(model_dir: str, step: Optional[int] = None) -> dict[str, np.ndarray]:
  """All values of the latest checkpoint of a run, or of that of a step."""
  path = checkpoints.latest(model_dir)
  if step is not None:
    path = os.path.join(model_dir, run_folder.CHECKPOINTS, f"ckpt-{step}")
  reader = tf.train.load_checkpoint(path)
  return {
    name: reader.get_tensor(name)
    for name in reader.get_variable_to_shape_map()
    # The object graph, and the save counter of this process.
    if name != "_CHECKPOINTABLE_OBJECT_GRAPH" and not name.startswith("save_counter")
  }


class TestCase(unittest.TestCase):
  """A test case with a small data set, built once, and temporary folders.

  Attributes:
    data_dir: folder of the data set.
    folder: a new folder for each test.
  """

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, folder)
    cls.data_dir = make_data(os.path.join(folder, "data"))

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")
    self.addCleanup(gin.clear_config)

  def path(self, name: str) -> str:
    """Path of `name` in the test's folder."""
    return os.path.join(self.folder, name)

  def assert_same_state(self, state: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Fails unless two checkpoints are bitwise equal."""
    self.assertEqual(set(state), set(other))
    different = [name for name in state if not np.array_equal(state[name], other[name])]
    self.assertEqual(different, [])
