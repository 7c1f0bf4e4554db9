"""Tests of applying networks to files by the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import av
import cv2
import gin
import numpy as np
import tensorflow as tf
from scipy.io import wavfile

from avssl_tf.inference import serving
from avssl_tf.training import loading, strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import (
  command,
  media_variants,
  source_tree,
  spatial_files,
  tiny_alignment,
  tiny_generator,
  tiny_run,
)

_RATE_HZ = 8000


def _write_film(path, duration_sec):
  """A real film with stereo audio, stretched to a sphere."""
  sound = media_variants.source_sound()[:2, : round(duration_sec * 48000)]
  pictures = media_variants.pictures_at(media_variants.regular_times(25, end_sec=duration_sec))
  pictures = [(time_sec, cv2.resize(picture, (256, 128))) for time_sec, picture in pictures]
  media_variants.write_media(path, pictures, sound, layout="stereo")


def _train_avid(data_dir, model_dir):
  """A run of the networks of gin/avid.gin at a tiny size."""
  tiny_run.make_data(data_dir)
  os.mkdir(model_dir)
  configuration.parse(
    [str(source_tree.ROOT / "gin/avid.gin")],
    [
      *tiny_run.GIN.strip().splitlines(),
      f'data_dir = "{data_dir}"', "num_epochs = 1", "train.probe = None",
      "train.fill_memory = False",
    ],
  )  # fmt: skip
  trainer.train(model_dir=model_dir, strategy=strategies.create())
  gin.clear_config()


def _apply(*arguments):
  return command.run_python("-m", "avssl_tf.apply", *arguments)


def _apply_tiny(*arguments):
  """The command, on a run of `tiny_run.TinyNetwork`."""
  return command.run_python("-m", "tests.tiny_command", "avssl_tf.apply", *arguments)


class ApplyTest(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.shared = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, cls.shared)
    data_dir = tiny_alignment.make_data(os.path.join(cls.shared, "data"))
    cls.model_dir = os.path.join(cls.shared, "run")
    tiny_generator.train(data_dir, cls.model_dir)
    cls.avid_dir = os.path.join(cls.shared, "avid")
    _train_avid(os.path.join(cls.shared, "planar"), cls.avid_dir)
    cls.film = os.path.join(cls.shared, "film.mp4")
    _write_film(cls.film, 3.0)

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)

  def path(self, name):
    return os.path.join(self.folder, name)

  def spatialize(self, *arguments, model_dir=None):
    model_dir = model_dir or self.model_dir
    return _apply("spatialize", f"--model_dir={model_dir}", f"--input={self.film}", *arguments)

  def test_a_film_on_a_sphere_by_a_run_and_by_its_saved_model(self):
    loaded = loading.load(self.model_dir)
    exported = self.path("exported")
    serving.export(loaded.network, loaded.input_spec, exported)
    fields = []
    for i, model_dir in enumerate((self.model_dir, exported)):
      wav, mp4, overlay = (self.path(f"{i}{name}") for name in (".wav", ".mp4", "map.mp4"))
      process = self.spatialize(
        f"--output={wav}", f"--output={mp4}", f"--overlay={overlay}", model_dir=model_dir
      )
      self.assertEqual(process.returncode, 0, process.stderr)
      for path in (wav, mp4, overlay):
        self.assertIn(f"Wrote {path}", process.stdout)
      self.assertRegex(process.stdout, r"3\.0 s in [\d.]+ s: [\d.]+ times real time")
      rate_hz, field = wavfile.read(wav)
      self.assertEqual((rate_hz, field.shape), (_RATE_HZ, (3 * _RATE_HZ, 4)))
      self.assertTrue(np.isfinite(field).all())
      self.assertTrue(np.all(field.std(axis=0) > 0))
      fields.append(field)
      self.assertEqual(spatial_files.components_of(mp4), (0, 1, 2, 3))
      for path, num_channels in ((mp4, 4), (overlay, 2)):
        with av.open(path) as container:
          self.assertEqual(container.streams.audio[0].codec_context.channels, num_channels)
          self.assertEqual(len(list(container.decode(video=0))), 75)
    np.testing.assert_allclose(fields[0], fields[1], atol=1e-5)

  def test_a_saved_model_of_unknown_origin_is_reported_before_it_runs(self):
    # One that writes a file when called, as any SavedModel can.
    exported, trace = self.path("exported"), self.path("trace")
    loaded = loading.load(self.model_dir)
    serving.export(loaded.network, loaded.input_spec, exported)
    module = tf.saved_model.load(exported)
    original = module.signatures["serving_default"]

    @tf.function(input_signature=list(original.structured_input_signature[1].values()))
    def generate(audio, video):
      with tf.control_dependencies([tf.io.write_file(trace, "written")]):
        return original(audio=tf.identity(audio), video=tf.identity(video))

    shutil.rmtree(os.path.join(exported, "variables"))
    hostile = tf.Module()
    hostile.original = module
    tf.saved_model.save(hostile, exported, signatures={"serving_default": generate})
    process = self.spatialize(f"--output={self.path('x.wav')}", model_dir=exported)
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertTrue(os.path.exists(trace), "The model is no longer hostile.")
    self.assertIn(f"WARNING: {exported} is a SavedModel that was not exported by", process.stderr)

  def test_mistakes_end_with_one_message(self):
    nothing = self.path("nothing")
    os.makedirs(nothing)
    wav = f"--output={self.path('x.wav')}"
    for process, message in (
      (self.spatialize(wav, model_dir=nothing), "neither operative_config.gin nor saved_model"),
      (self.spatialize(wav, "--input=nowhere.mp4"), "--input=nowhere.mp4: no such file"),
      (_apply("spatialise", wav), "there is no sub-command 'spatialise'; expected one of: spat"),
      (
        _apply("embed", f"--model_dir={self.model_dir}", f"--input={self.film}",
               f"--output={self.path('x.npz')}"),
        "contains a network that generates sound fields; expected a network that embeds",
      ),
    ):  # fmt: skip
      with self.subTest(message):
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertIn(message, process.stderr + process.stdout)
        self.assertNotIn("Traceback", process.stderr)
    self.assertEqual(os.listdir(self.folder), ["nothing"])

  def test_localizing_by_a_run_and_by_its_saved_model(self):
    clips = []
    exported = self.path("exported")
    loaded = loading.load(self.avid_dir)
    serving.export(loaded.network, loaded.input_spec, exported)
    for i, model_dir in enumerate((self.avid_dir, exported)):
      output = self.path(f"{i}.mp4")
      process = _apply(
        "localize", f"--model_dir={model_dir}", f"--input={self.film}", f"--output={output}"
      )
      self.assertEqual(process.returncode, 0, process.stderr)
      self.assertIn(f"Wrote {output}", process.stdout)
      self.assertNotIn("was not exported by this user", process.stderr)
      self.assertIn("audio copied (aac)", process.stdout)
      with av.open(output) as container:
        self.assertEqual(container.streams.audio[0].layout.name, "stereo")
        clips.append([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    self.assertEqual(len(clips[0]), 75)
    difference = np.stack(clips[0]).astype(int) - np.stack(clips[1])
    self.assertLess(np.abs(difference).mean(), 1.0)

  def test_localizing_mistakes_end_with_one_message(self):
    output = f"--output={self.path('x.mp4')}"
    film, avid = f"--input={self.film}", f"--model_dir={self.avid_dir}"
    with open(self.path("there.mp4"), "wb"):
      pass
    for arguments, message in (
      ((f"--model_dir={self.model_dir}", film, output), "sound fields; expected a network"),
      ((avid, "--input=nowhere.mp4", output), "--input=nowhere.mp4: no such file"),
      ((avid, film, f"--output={self.path('there.mp4')}"), "--overwrite"),
    ):
      with self.subTest(message):
        process = _apply("localize", *arguments)
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertIn(message, process.stderr)
        self.assertNotIn("Traceback", process.stderr)
    self.assertEqual(os.listdir(self.folder), ["there.mp4"])

  def test_help_lists_sub_commands_and_flags(self):
    described = self.spatialize("--help").stdout
    for words in (
      "spatialize  generates a sound field", "localize    shows the sound sources",
      "embed       computes", "index       makes", "search      finds", "--input",
      "--output", "--overlay",
    ):  # fmt: skip
      self.assertIn(words, described)

  def test_a_disk_that_is_full_leaves_nothing(self):
    # Larger files, such as mp4, fail as on a full disk.
    limited = (
      "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000)); "
      "runpy.run_module('avssl_tf.apply', run_name='__main__', alter_sys=True)"
    )
    process = command.run_python(
      "-c", limited, "spatialize", f"--model_dir={self.model_dir}", f"--input={self.film}",
      f"--output={self.path('a.mp4')}",
    )  # fmt: skip
    self.assertEqual(process.returncode, 1, process.stderr)
    self.assertIn("cannot be written: File too large", process.stderr)
    self.assertNotIn("Traceback", process.stderr)
    self.assertEqual(os.listdir(self.folder), [])

  def test_stopping_leaves_nothing(self):
    process = subprocess.Popen(
      [sys.executable, "-m", "avssl_tf.apply", "spatialize", f"--model_dir={self.model_dir}",
       f"--input={self.film}", f"--output={self.path('a.wav')}",
       f"--overlay={self.path('m.mp4')}"],
      cwd=source_tree.ROOT,
      env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )  # fmt: skip
    while not os.listdir(self.folder) and process.poll() is None:
      time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=100)
    self.assertEqual(process.returncode, 143, stderr)
    self.assertIn("Stopped; nothing was written", stderr)
    self.assertEqual(os.listdir(self.folder), [])


class EmbedAndSearchTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model_dir = os.path.join(cls.data_dir, "..", "run")
    os.mkdir(cls.model_dir)
    settings = (
      f'data_dir = "{cls.data_dir}"', "num_epochs = 1", "train.probe = None",
      "train.fill_memory = False",
      "train.network = @tiny_run.TinyNetwork",
    )  # fmt: skip
    configuration.parse(
      [str(source_tree.ROOT / "gin/avid.gin")], [*tiny_run.GIN.strip().splitlines(), *settings]
    )
    trainer.train(model_dir=cls.model_dir, strategy=strategies.create())

  def setUp(self):
    super().setUp()
    self.media = self.path("media")
    os.mkdir(self.media)
    self.output = self.path("found.npz")

  def arguments(self, *arguments, model_dir=None):
    return (
      "embed", f"--model_dir={model_dir or self.model_dir}", f"--input={self.media}",
      f"--output={self.output}", *arguments,
    )  # fmt: skip

  def test_by_a_run_and_by_its_saved_model(self):
    shutil.copy(media_variants.SOURCE, os.path.join(self.media, "film.mp4"))
    with open(os.path.join(self.media, "bad.mp4"), "w", encoding="utf-8") as f:
      f.write("This is not a video.\n")
    loaded = loading.load(self.model_dir)
    exported = self.path("exported")
    serving.export(loaded.network, loaded.input_spec, exported)
    arrays = []
    for model_dir, options, heading in (
      (self.model_dir, ["--end_sec=0.3", "--find=video"], "Video windows in .* to the video of"),
      (exported, ["--query_modality=audio"], "Video windows in .* nearest to the audio of"),
    ):
      process = _apply_tiny(*self.arguments("--overwrite", model_dir=model_dir))
      self.assertEqual(process.returncode, 0, process.stderr)
      self.assertIn("18 windows of 1 file(s), 18 with video and 18 with audio", process.stdout)
      self.assertRegex(process.stdout, r"listed in .*found\.failures\.jsonl:\n +1  not a video")
      self.assertIn("embedding 100%", process.stderr)
      with np.load(self.output) as found:
        arrays.append({name: found[name] for name in found if name.endswith("features")})
      process = _apply_tiny(
        "search", f"--model_dir={model_dir}", f"--index={self.output}",
        f"--query={media_variants.SOURCE}", *options,
      )  # fmt: skip
      self.assertEqual(process.returncode, 0, process.stderr)
      self.assertRegex(process.stdout, heading)
      similarity = r"1\.000 +0\.0-0\.3 s" if "--find=video" in options else r"-?[01]\.\d{3} .*"
      self.assertRegex(process.stdout, rf"\n   1 +{similarity}  film\.mp4\n")
    for name, array in arrays[0].items():
      np.testing.assert_allclose(array, arrays[1][name], rtol=1e-3, atol=1e-4)
    self.search_an_index(exported)
    # The index is now that of the SavedModel.
    process = _apply_tiny(
      "search", f"--model_dir={self.model_dir}", f"--index={self.output}",
      f"--query={media_variants.SOURCE}",
    )  # fmt: skip
    self.assertEqual(process.returncode, 1)
    self.assertIn("contains embeddings of another network", process.stdout + process.stderr)
    self.assertNotIn("Traceback", process.stderr)

  def search_an_index(self, model_dir):
    folder = self.path("index")
    process = _apply("index", f"--input={self.output}", f"--output={folder}")
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertIn(f"Wrote {folder}: 18 windows", process.stdout)
    self.assertIn("audio: 18 embeddings, flat, exact.", process.stdout)
    self.assertNotIn("faiss", process.stderr)
    asked = {"query": media_variants.SOURCE, "find": "video", "end_sec": 0.3}
    process = subprocess.run(
      [sys.executable, "-m", "avssl_tf.apply", "search", f"--model_dir={model_dir}",
       f"--index={folder}", "--serve"],
      input=f"{json.dumps(asked)}\nnothing.mp4\n",
      cwd=source_tree.ROOT,
      env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
      capture_output=True,
      text=True,
      check=True,
    )  # fmt: skip
    objects, error, *rest = process.stdout.split("\n")
    (result,) = json.loads(objects)["results"]
    self.assertEqual((result["file"], result["start_sec"]), ("film.mp4", 0.0))
    self.assertEqual(error, "Error: --query=nothing.mp4: no such file.")
    self.assertEqual("".join(rest), "")
    self.assertEqual(process.stderr, "Ready: one query per line.\n")

  def test_a_command_that_is_stopped_goes_on(self):
    for i in range(8):
      shutil.copy(media_variants.SOURCE, os.path.join(self.media, f"{i:02d}.mp4"))
    arguments = self.arguments("--stride_sec=0.15", "--batch_size=2")
    process = subprocess.Popen(
      [sys.executable, "-m", "tests.tiny_command", "avssl_tf.apply", *arguments],
      cwd=source_tree.ROOT,
      env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    parts = f"{self.output}.parts"

    def num_parts():
      names = os.listdir(parts) if os.path.isdir(parts) else []
      return sum(name.endswith(".npz") for name in names)

    while num_parts() < 2 and process.poll() is None:
      time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=100)
    self.assertEqual(process.returncode, 130, stderr)
    self.assertIn(f"Stopped. Finished parts are in {parts}; rerun the command to resume", stderr)
    self.assertNotIn("Traceback", stderr)
    self.assertFalse(os.path.exists(self.output))
    num_done = num_parts()
    self.assertIn(num_done, range(2, 8))
    process = _apply_tiny(*arguments)
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertIn(f"{num_done} of these file(s) had been embedded before", process.stdout)
    self.assertIn("windows of 8 file(s)", process.stdout)
    self.assertFalse(os.path.exists(parts))


if __name__ == "__main__":
  unittest.main()
