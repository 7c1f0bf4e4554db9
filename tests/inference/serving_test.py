"""Tests of the exported SavedModel, in this process and in a fresh one."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from avssl_tf import own_files
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.inference import saved_model_folder, serving
from avssl_tf.models.network import Network
from avssl_tf.models.spatialization.spatial_unet import SpatialUNet
from tests import source_tree, test_base, tiny_av_model

_SIGNATURES = (
  "audio_maps",
  "embed_audio",
  "embed_video",
  "embed_video_positions",
  "serving_default",
  "video_maps",
)
_RELOAD = """
import os, sys
import numpy as np, tensorflow as tf
export_dir, folder = sys.argv[1:]
inputs = np.load(os.path.join(folder, "inputs.npz"))
outputs = tf.saved_model.load(export_dir).signatures["serving_default"](
  **{name: tf.constant(inputs[name]) for name in inputs.files}
)
np.savez(os.path.join(folder, "outputs.npz"), **{k: v.numpy() for k, v in outputs.items()})
"""
_EXPORT_OF_TWO_REPLICAS = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from avssl_tf.inference import serving
from avssl_tf.models.av_model import AudioVisualModel
from avssl_tf.models.network import Network

class Model(AudioVisualModel):
  def __init__(self):
    Network.__init__(self)
    self.norm = tf.keras.layers.BatchNormalization(epsilon=0.0)
    self.norm.build([None, 3])

  def embed_video(self, frames, training=False):
    pooled = self.norm(tf.reduce_mean(tf.cast(frames, tf.float32), [1, 2, 3]), training=training)
    return {"features": pooled, "embedding": pooled}

  def embed_audio(self, waveform, training=False):
    return {"features": waveform[:, 0], "embedding": waveform[:, 0]}

  def video_maps(self, frames, training=False):
    return {"conv5x": tf.cast(frames, tf.float32)}

  def audio_maps(self, waveform, training=False):
    return {"conv5x": waveform}

  def embed_video_positions(self, frames, training=False):
    return tf.cast(frames, tf.float32)

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
  model = Model()

@tf.function
def make_replicas_differ():
  replica = tf.distribute.get_replica_context().replica_id_in_sync_group
  model.norm.moving_mean.assign(tf.ones([3]) * tf.cast(replica, tf.float32))

strategy.run(make_replicas_differ)
serving.export(model, serving.InputSpec(2, 8.0, 4, 10, 100, 1), sys.argv[1])
"""
_OUTPUTS = ("video_features", "video_embedding", "audio_features", "audio_embedding")


def _input_spec():
  return serving.InputSpec.create(tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1)


class ServingTest(test_base.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    tf.keras.utils.set_random_seed(0)
    cls.rng = np.random.default_rng(0)
    cls.model = tiny_av_model.make()
    for variable in cls.model.non_trainable_variables:  # Statistics as after training.
      low, high = (-0.2, 0.2) if "mean" in variable.name else (0.5, 1.5)
      variable.assign(cls.rng.uniform(low, high, size=variable.shape))
    cls.video = tiny_av_model.frames(cls.rng, 3).numpy()
    cls.audio = tiny_av_model.waveforms(cls.rng, 3).numpy()
    video, audio = cls.model.embed_video(cls.video), cls.model.embed_audio(cls.audio)
    cls.expected = {
      "video_features": video["features"].numpy(),
      "video_embedding": video["embedding"].numpy(),
      "audio_features": audio["features"].numpy(),
      "audio_embedding": audio["embedding"].numpy(),
    }
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.export_dir = os.path.join(folder.name, "saved_model")
    task = tf.keras.Model()  # As in training, there are variables that are not served.
    task.network = cls.model
    task.bank = tf.Variable(tf.zeros([100, 6]), trainable=False)
    serving.export(task.network, _input_spec(), cls.export_dir)

  def test_reloaded_in_a_fresh_process_it_gives_the_same_numbers(self):
    folder = self.get_temp_dir()
    np.savez(os.path.join(folder, "inputs.npz"), video=self.video, audio=self.audio)
    subprocess.run([sys.executable, "-c", _RELOAD, self.export_dir, folder], check=True, cwd=folder)
    outputs = np.load(os.path.join(folder, "outputs.npz"))
    self.assertCountEqual(outputs.files, _OUTPUTS)
    for name in _OUTPUTS:
      self.assert_shape(outputs[name], self.expected[name].shape, np.float32)
      self.assertAllClose(outputs[name], self.expected[name], rtol=1e-5, atol=1e-5)

  def test_batches_of_any_size(self):
    signatures = tf.saved_model.load(self.export_dir).signatures
    inputs = {"video": self.video, "audio": self.audio}
    for name in _SIGNATURES:
      names = list(signatures[name].structured_input_signature[1])
      for size in (0, 1, 3):
        outputs = signatures[name](**{n: tf.constant(inputs[n][:size]) for n in names})
        self.assertEqual({value.shape[0] for value in outputs.values()}, {size}, name)
    alone = signatures["serving_default"](**{n: tf.constant(x[:1]) for n, x in inputs.items()})
    for name in _OUTPUTS:
      self.assertAllClose(alone[name], self.expected[name][:1], rtol=1e-4, atol=1e-5)

  def test_other_shapes_are_refused(self):
    signatures = tf.saved_model.load(self.export_dir).signatures
    num_samples = self.audio.shape[1]
    cases = [
      ("audio", [1, 2 * num_samples, 1], tf.float32),
      ("audio", [1, num_samples, 2], tf.float32),
      ("audio", [1, num_samples], tf.float32),
      ("video", [1, *self.video.shape[1:4], 1], tf.uint8),
      ("video", [1, 4, 32, 32, 3], tf.uint8),
      ("video", [1, 8, 16, 16, 3], tf.uint8),
      ("video", self.video.shape[1:], tf.uint8),
    ]
    expected = {
      "audio": r"the shape float32 \[batch, 2000, 1\] \(samples, channels\)",
      "video": r"the shape uint8 \[batch, 4, 16, 16, 3\] \(frames, height, width, channels\)",
    }
    for name, shape, dtype in cases:
      with self.subTest(shape), self.assertRaisesRegex(
        tf.errors.InvalidArgumentError, expected[name]
      ):
        signatures[f"embed_{name}"](**{name: tf.zeros(shape, dtype)})

  def test_saved_model_cli_runs_it(self):
    folder = self.get_temp_dir()
    inputs = os.path.join(folder, "inputs.npz")
    np.savez(inputs, video=self.video, audio=self.audio)
    command = [os.path.join(os.path.dirname(sys.executable), "saved_model_cli"), "run"]
    command += [f"--dir={self.export_dir}", "--tag_set=serve", "--signature_def=serving_default"]
    command += [f"--inputs=video={inputs}[video];audio={inputs}[audio]", f"--outdir={folder}"]
    subprocess.run(command, check=True)
    for name in _OUTPUTS:
      output = np.load(os.path.join(folder, f"{name}.npy"))
      self.assertAllClose(output, self.expected[name], rtol=1e-5, atol=1e-5)

  def test_expected_numbers_tell_inputs_apart(self):
    for name in _OUTPUTS:
      self.assertNotAllClose(self.expected[name][0], self.expected[name][1], rtol=1e-3, atol=1e-3)

  def test_average_of_replicas_is_exported(self):
    export_dir = os.path.join(self.get_temp_dir(), "saved_model")
    subprocess.run(
      [sys.executable, "-c", _EXPORT_OF_TWO_REPLICAS, export_dir], check=True, cwd=source_tree.ROOT
    )
    loaded = tf.saved_model.load(export_dir)
    self.assertLen(loaded.weights, 4)  # One of each, not one per replica.
    outputs = loaded.signatures["embed_video"](video=np.full((1, 2, 4, 4, 3), 7, np.uint8))
    self.assertAllClose(outputs["video_features"], [[6.5, 6.5, 6.5]])  # 7 - mean(0, 1)

  def test_signatures(self):
    loaded = tf.saved_model.load(self.export_dir)
    self.assertCountEqual(loaded.signatures, _SIGNATURES)
    video = loaded.signatures["embed_video"]
    audio = loaded.signatures["embed_audio"]
    self.assertEqual(
      video.structured_input_signature[1],
      {"video": tf.TensorSpec([None, 4, 16, 16, 3], tf.uint8, "video")},
    )
    self.assertEqual(
      audio.structured_input_signature[1],
      {"audio": tf.TensorSpec([None, 2000, 1], tf.float32, "audio")},
    )
    outputs = {**video(video=self.video[:1]), **audio(audio=self.audio)}
    self.assertAllClose(outputs["video_embedding"], self.expected["video_embedding"][:1])
    self.assertAllClose(outputs["audio_features"], self.expected["audio_features"], rtol=1e-5)
    self.assertAllClose(tf.norm(outputs["audio_embedding"], axis=-1), [1, 1, 1], rtol=1e-5)

  def test_maps_of_the_stages(self):
    loaded = tf.saved_model.load(self.export_dir)
    for name in ("video", "audio"):
      inputs = getattr(self, name)
      expected = getattr(self.model, f"{name}_maps")(inputs)
      found = loaded.signatures[f"{name}_maps"](**{name: inputs})
      self.assertEqual(set(found), {"conv1", "conv2x", "conv3x", "conv4x", "conv5x", "pooled"})
      for stage, value in expected.items():
        self.assertAllClose(found[stage], value, rtol=1e-5, atol=1e-5, msg=f"{name} {stage}")
      self.assertAllClose(found["pooled"], self.expected[f"{name}_features"], rtol=1e-5, atol=1e-5)

  def test_embeddings_of_positions(self):
    loaded = tf.saved_model.load(self.export_dir)
    found = loaded.signatures["embed_video_positions"](video=self.video)
    self.assertEqual(set(found), {"video_position_embeddings"})
    expected = self.model.embed_video_positions(self.video)
    self.assertAllClose(found["video_position_embeddings"], expected, rtol=1e-5, atol=1e-5)

  def test_holds_the_variables_of_the_networks_only(self):
    variables = tf.train.list_variables(os.path.join(self.export_dir, "variables", "variables"))
    held = [shape for name, shape in variables if "VARIABLE_VALUE" in name]
    expected = [v.shape.as_list() for v in self.model.variables]
    self.assertCountEqual(held, expected)
    loaded = tf.saved_model.load(self.export_dir)
    self.assertCountEqual([v.name for v in loaded.weights], [v.name for v in self.model.variables])

  def test_warmup_requests_can_be_answered(self):
    loaded = tf.saved_model.load(self.export_dir)
    path = os.path.join(self.export_dir, "assets.extra", "tf_serving_warmup_requests")
    names = []
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
      request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
      names.append(request.model_spec.signature_name)
      inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
      for output in loaded.signatures[names[-1]](**inputs).values():
        self.assertAllEqual(tf.math.is_finite(output), tf.ones_like(output, tf.bool))
    self.assertCountEqual(names, _SIGNATURES)

  def test_input_spec_lies_beside_the_model(self):
    path = os.path.join(self.export_dir, "assets.extra", serving.INPUT_SPEC_FILE)
    with open(path, encoding="utf-8") as f:
      self.assertEqual(serving.InputSpec(**json.load(f)), _input_spec())

  def test_input_spec_can_be_read_back(self):
    found = serving.InputSpec.load(self.export_dir)
    self.assertEqual(found, _input_spec())
    clip = found.clip()
    self.assertEqual(clip.num_samples(clip.sample_rate_hz), 2000)
    self.assertEqual((clip.num_frames, clip.frame_rate_hz, clip.frame_size), (4, 8.0, 16))
    self.assertEqual(serving.InputSpec.create(clip, clip.sample_rate_hz, 1), found)

  def test_input_spec_that_is_not_there(self):
    folder = self.get_temp_dir()
    with self.assertRaisesRegex(ValueError, "input_spec.json does not describe.*avssl_tf.export"):
      serving.InputSpec.load(folder)

  def test_any_size(self):
    output_dir = self.get_temp_dir()  # An empty folder is accepted.
    serving.export(self.model, _input_spec(), output_dir, any_size=True)
    signatures = tf.saved_model.load(output_dir).signatures
    video = self.rng.integers(0, 256, size=(2, 6, 24, 20, 3), dtype=np.uint8)
    audio = self.rng.normal(size=(1, 3100, 1)).astype(np.float32)
    self.assertAllClose(
      signatures["embed_video"](video=video)["video_features"],
      self.model.embed_video(video)["features"],
      rtol=1e-5,
      atol=1e-5,
    )
    self.assertAllClose(
      signatures["embed_audio"](audio=audio)["audio_features"],
      self.model.embed_audio(audio)["features"],
      rtol=1e-5,
      atol=1e-5,
    )

  def test_does_not_overwrite_unasked(self):
    output_dir = os.path.join(self.get_temp_dir(), "saved_model")
    shutil.copytree(self.export_dir, output_dir)
    input_spec = os.path.join(output_dir, "assets.extra", serving.INPUT_SPEC_FILE)
    with open(input_spec, "w", encoding="utf-8") as f:
      f.write("{}")
    with self.assertRaisesRegex(FileExistsError, "--overwrite"):
      serving.export(self.model, _input_spec(), output_dir)
    serving.export(self.model, _input_spec(), output_dir + os.sep, overwrite=True)
    self.assertEqual(serving.InputSpec.load(output_dir), _input_spec())
    self.assertEqual(os.listdir(os.path.dirname(output_dir)), ["saved_model"])

  def test_never_replaces_what_is_not_a_saved_model(self):
    output_dir = os.path.join(self.get_temp_dir(), "thesis")
    os.makedirs(output_dir)
    with open(os.path.join(output_dir, "thesis.tex"), "w", encoding="utf-8") as f:
      f.write("dear to somebody")
    with self.assertRaisesRegex(FileExistsError, "not a SavedModel"):
      serving.export(self.model, _input_spec(), output_dir, overwrite=True)
    self.assertEqual(os.listdir(output_dir), ["thesis.tex"])

  def test_failed_export_leaves_nothing(self):
    folder = self.get_temp_dir()
    with mock.patch.object(serving, "_write_warmup_requests", side_effect=OSError("disk full")):
      with self.assertRaisesRegex(OSError, "disk full"):
        serving.export(self.model, _input_spec(), os.path.join(folder, "saved_model"))
    self.assertEmpty(os.listdir(folder))

  def test_holds_what_it_is_known_to_hold(self):
    self.assertEmpty(own_files.foreign(self.export_dir, saved_model_folder.TREE))

  def test_permissions_are_the_usual_ones(self):
    folder = os.path.join(self.get_temp_dir(), "usual")
    os.makedirs(folder)
    self.assertEqual(os.stat(self.export_dir).st_mode, os.stat(folder).st_mode)


class _Moving(SpatialUNet):
  """Encodes the audio by the mean of the flow, independent of the frames."""

  def __init__(self):
    Network.__init__(self)
    self.gain = tf.Variable(0.5)

  def generate(self, batch):
    moving = tf.reduce_mean(tf.cast(batch["flow"], tf.float32), axis=[1, 2, 3])[:, tf.newaxis]
    return tf.concat([batch["audio"], self.gain * moving * batch["audio"]], axis=-1)


class FlowTest(test_base.TestCase):

  def test_a_generator_takes_flow_where_its_clips_have_it(self):
    clip = ClipSpec(
      num_frames=2, frame_rate_hz=8.0, frame_size=4, audio_sec=0.01, sample_rate_hz=1000,
      panorama=True, flow=True,
    )  # fmt: skip
    spec = serving.InputSpec.create(clip, 1000, 1)
    folder = os.path.join(self.get_temp_dir(), "moving")
    serving.export(_Moving(), spec, folder)
    self.assertEqual(serving.InputSpec.load(folder), spec)
    self.assertTrue(spec.clip().flow)
    function = tf.saved_model.load(folder).signatures["serving_default"]
    inputs = function.structured_input_signature[1]
    self.assertEqual(sorted(inputs), ["audio", "flow", "video"])
    self.assertEqual(inputs["flow"], tf.TensorSpec([None, 2, 4, 8, 3], tf.uint8, "flow"))
    flow = self.rng.integers(0, 256, [3, 2, 4, 8, 3]).astype(np.uint8)
    sound = self.rng.uniform(-1, 1, [3, 10, 1]).astype(np.float32)
    found = function(
      video=tf.zeros_like(flow), audio=tf.constant(sound), flow=tf.constant(flow)
    )["field"]
    expected = 0.5 * flow.mean(axis=(1, 2, 3))[:, np.newaxis] * sound
    self.assertAllClose(found[..., 1:], expected, rtol=1e-5)
    path = os.path.join(folder, "assets.extra", "tf_serving_warmup_requests")
    (record,) = tf.data.TFRecordDataset(path).as_numpy_iterator()
    request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
    self.assertEqual(sorted(request.inputs), ["audio", "flow", "video"])

  def test_specifications_from_before_there_was_flow(self):
    fields = dict(num_frames=2, frame_rate_hz=8.0, frame_size=4, num_samples=10,
                  sample_rate_hz=1000, num_channels=1, viewpoints=None, panorama=True)  # fmt: skip
    folder = os.path.join(self.get_temp_dir(), "old")
    os.makedirs(os.path.join(folder, "assets.extra"))
    path = os.path.join(folder, "assets.extra", serving.INPUT_SPEC_FILE)
    with open(path, "w", encoding="utf-8") as f:
      json.dump(fields, f)
    found = serving.InputSpec.load(folder)
    self.assertFalse(found.flow)
    self.assertEqual(sorted(found.tensor_specs(any_size=False)), ["audio", "video"])


if __name__ == "__main__":
  tf.test.main()
