"""Tests of the protocol on generated tones in the layout of ESC-50, and on demo records."""

import csv
import dataclasses
import glob
import os
import wave
from unittest import mock

import gin
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from sklearn.svm import LinearSVC

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.evaluation import protocol
from avssl_tf.evaluation.audio_svm import audio_svm, stage_features
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.models import audio_net, front_end
from tests import source_tree, tiny_run

_RATE_HZ = 8000
_CATEGORIES = ("hum", "beep", "whistle")
_METRICS = ["conv2x_top1", "conv3x_top1", "conv4x_top1", "conv5x_top1"]


def make_esc50(folder: str, num_folds: int = 5, per_fold: int = 2) -> str:
  """Writes tones of 0.5 s in the layout of ESC-50, an octave and more between the classes."""
  rng = np.random.default_rng(0)
  os.makedirs(os.path.join(folder, "audio"))
  os.makedirs(os.path.join(folder, "meta"))
  rows = []
  for fold in range(1, num_folds + 1):
    for target, category in enumerate(_CATEGORIES):
      for take in range(per_fold):
        name = f"{fold}-{take}-{target}.wav"
        rows.append({"filename": name, "fold": fold, "target": target, "category": category})
        frequency_hz = 200 * 4**target * rng.uniform(0.9, 1.1)
        sound = np.sin(2 * np.pi * frequency_hz * np.arange(_RATE_HZ // 2) / _RATE_HZ)
        sound = 0.3 * sound + 0.02 * rng.normal(size=sound.shape)
        with wave.open(os.path.join(folder, "audio", name), "wb") as f:
          f.setparams((1, 2, _RATE_HZ, 0, "NONE", ""))
          f.writeframes((sound * 2**15).astype("<i2").tobytes())
  with open(os.path.join(folder, "meta", "esc50.csv"), "w", newline="") as f:
    writer = csv.DictWriter(f, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
  return folder


def make_encoder(seed: int = 0) -> Encoder:
  """An audio network of random weights; it has no video network."""
  tf.keras.utils.set_random_seed(seed)
  prepare = front_end.AudioFrontEnd(tiny_run.SPECTROGRAM)
  network = audio_net.AudioNet(stage_widths=(4, 4, 8, 8))

  def unused(frames):
    raise NotImplementedError

  clip = ClipSpec(audio_sec=0.3)
  network(prepare(tf.zeros([1, clip.num_samples(_RATE_HZ), 1])))
  return Encoder(
    clip=clip,
    sample_rate_hz=_RATE_HZ,
    num_channels=1,
    embed_video=unused,
    embed_audio=unused,
    video_maps=unused,
    audio_maps=lambda waveform: network(prepare(waveform)),
    embed_video_positions=unused,
  )


class AudioSVMTest(tiny_run.TestCase, tf.test.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.encoder = make_encoder()

  def _run(self, data_dir, name="results", encoder=None, **settings):
    results = Results(self.path(f"{name}.json"), {})
    measure = audio_svm.AudioSVM(**{"num_windows": 3, "batch_size": 16, **settings})
    measure(encoder or self.encoder, data_dir, results, self.path(f"{name}_work"))
    return results

  def test_finds_the_classes_of_tones_in_each_fold(self):
    results = self._run(make_esc50(self.path("esc50")), num_folds=5)
    for fold in range(1, 6):
      metrics = results.get(f"fold{fold}")
      self.assertEqual(list(metrics), _METRICS)
      self.assertGreaterEqual(metrics["conv2x_top1"], 0.8, fold)
    self.assertIsNone(results.get("fold6"))
    self.assertEqual(os.listdir(self.path("results_work")), [])

  def test_is_reproducible_and_follows_the_seed(self):
    data_dir = make_esc50(self.path("esc50"), num_folds=2)
    seen = []

    def fit(svm, features, *args):
      seen.append(features.copy())
      return real(svm, features, *args)

    real = LinearSVC.fit
    with mock.patch.object(LinearSVC, "fit", fit):
      for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        self._run(data_dir, name, seed=seed, sizes={"conv4x": (2, 2)})
    first, again, other = seen[0], seen[2], seen[4]
    self.assertAllEqual(first, again)
    self.assertNotAllClose(first, other)
    # 6 sounds with 3 windows; 8 channels of 1 x 2 cells, as the map has one position in time.
    self.assertEqual(first.shape, (18, 16))
    self.assertAllClose(first.mean(axis=0), np.zeros(16), atol=1e-3)
    # The divisor has an offset; constant features become zero.
    deviations = first.std(axis=0)
    self.assertAllInRange(deviations[deviations > 1e-6], 0.8, 1.0)
    self.assertGreater(deviations.max(), 0.8)

  def test_goes_on_with_the_folds_that_are_missing(self):
    data_dir = make_esc50(self.path("esc50"), num_folds=3)
    whole = self._run(data_dir, "whole")
    put, real = [], Results.put

    def stop_after_one(results, part, metrics):
      real(results, part, metrics)
      put.append(part)
      if len(put) == 1:
        raise KeyboardInterrupt

    with mock.patch.object(Results, "put", stop_after_one):
      with self.assertRaises(KeyboardInterrupt):
        self._run(data_dir, "stopped")
      with mock.patch.object(stage_features.FeatureStore, "_write") as write:
        resumed = self._run(data_dir, "stopped")
    write.assert_not_called()
    self.assertEqual(put, ["fold1", "fold2", "fold3"])
    for part in put:
      self.assertEqual(resumed.get(part), whole.get(part))

  def test_another_network_gets_features_of_its_own(self):
    data_dir = make_esc50(self.path("esc50"), num_folds=2)
    with mock.patch.object(LinearSVC, "fit", side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        self._run(data_dir, "run")
      written = glob.glob(self.path("run_work/features/*.npz"))
      self.assertLen(written, 2)
      with np.load(written[0]) as content:
        before = content["conv3x"]
      with self.assertRaises(KeyboardInterrupt):
        self._run(data_dir, "run", encoder=make_encoder(seed=1))
    with np.load(written[0]) as content:
      self.assertNotAllClose(content["conv3x"], before)

  def test_demo_records(self):
    results = self._run(self.data_dir)
    metrics = results.get("test")
    self.assertEqual(list(metrics), _METRICS)
    for value in metrics.values():
      self.assertAlmostEqual(value * 8 % 1, 0)  # Of 8 clips.

  def test_files_that_cannot_be_read(self):
    data_dir = make_esc50(self.path("esc50"), num_folds=2, per_fold=4)
    path = os.path.join(data_dir, "audio", "1-0-0.wav")
    with open(path, "w") as f:
      f.write("no sound")
    with self.assertRaisesRegex(ValueError, "1 recordings could.*\n.*1-0-0.wav: .*unknown format"):
      self._run(data_dir)
    with self.assertLogs("absl", "WARNING") as logs:
      results = self._run(data_dir, max_failure_rate=0.1)
    self.assertIn("Skipped: 1-0-0.wav: ", "".join(logs.output))
    self.assertEqual(results.get("fold1")["num_unreadable"], 1)
    # 11 recordings remain to test in fold1, 12 in fold2.
    self.assertAlmostEqual(results.get("fold1")["conv2x_top1"] * 11 % 1, 0)
    os.remove(path)
    with self.assertRaisesRegex(ValueError, "1 of the 24 files listed.*missing.*\n.*1-0-0.wav"):
      self._run(data_dir, "missing")

  def test_repaired_files_are_read_again(self):
    data_dir = make_esc50(self.path("esc50"), num_folds=2)
    path = os.path.join(data_dir, "audio", "1-0-0.wav")
    with open(path, "rb") as f:
      sound = f.read()
    with open(path, "wb") as f:
      f.write(b"no sound")
    with self.assertRaisesRegex(ValueError, "could not be read"):
      self._run(data_dir)
    with open(path, "wb") as f:
      f.write(sound)
    self.assertNotIn("num_unreadable", self._run(data_dir).get("fold1"))

  def test_says_what_is_missing(self):
    data_dir = make_esc50(self.path("esc50"), num_folds=4)
    with self.assertRaisesRegex(ValueError, "has 4 folds; expected 5"):
      self._run(data_dir, num_folds=5)
    with self.assertRaisesRegex(ValueError, "neither records.*\nESC-50: .*esc50.csv"):
      self._run(self.folder)
    with self.assertRaisesRegex(FileNotFoundError, "nowhere"):
      self._run("nowhere")
    with self.assertRaisesRegex(ValueError, "'conv6x'.*expected some of.*'conv5x'"):
      self._run(data_dir, sizes={"conv6x": (1, 1)})
    for settings in ({"speed": (2, 1)}, {"num_windows": 0}, {"max_failure_rate": 1}, {"c": 0}):
      (name,) = settings
      with self.assertRaisesRegex(ValueError, f"AudioSVM.{name} is"):
        audio_svm.AudioSVM(**settings)

  def test_warns_of_classifiers_that_are_not_done(self):
    with self.assertLogs("absl", "WARNING") as logs:
      self._run(self.data_dir, max_passes=1, tolerance=1e-6, sizes={"conv5x": (1, 1)})
    self.assertIn("test, conv5x: the classifiers did not converge", "".join(logs.output))


class GinFilesTest(parameterized.TestCase):
  @parameterized.parameters((None, 2, 10.0, None), ("esc50", 10, 10.0, 5), ("dcase", 60, 1.0, 1))
  def test_settings(self, scale, num_windows, c, num_folds):
    files = ["audio_svm.gin"] + ([f"scale/{scale}.gin"] if scale else [])
    self.addCleanup(gin.clear_config)
    with gin.unlock_config():
      gin.parse_config_files_and_bindings(
        [str(source_tree.ROOT / "gin" / "evaluate" / file) for file in files], None
      )
    found = gin.get_bindings(protocol.evaluate)["protocol"]
    expected = audio_svm.AudioSVM(num_windows=num_windows, c=c, num_folds=num_folds)
    self.assertEqual(found, expected)


class StandardisationTest(tf.test.TestCase):
  def test_is_that_of_numpy(self):
    features = np.random.default_rng(0).normal(3, 2, [50, 1100]).astype(np.float32)
    features[:, 7] = 5
    mean, scale = audio_svm.standardisation(features)
    self.assertAllClose(mean, np.mean(features, 0), rtol=1e-5)
    self.assertAllClose(scale, np.std(features, 0) + 0.01, rtol=1e-5)
    self.assertAllClose(scale[7], 0.01)


class StageNetworkTest(tf.test.TestCase):
  def test_averages_maps_and_keeps_small_ones(self):
    maps = np.random.default_rng(0).normal(size=[5, 6, 2, 3]).astype(np.float32)
    encoder = dataclasses.replace(
      make_encoder(),
      clip=ClipSpec(audio_sec=1.0),
      sample_rate_hz=6,
      num_channels=6,
      audio_maps=lambda waveform: {"stage": tf.reshape(waveform, [-1, 6, 2, 3])},
    )
    network = stage_features.StageNetwork(encoder, {"stage": (2, 4)}, batch_size=2)
    found = network(maps.reshape(5, 6, 6))["stage"]
    expected = np.stack([maps[:, :3].mean(axis=1), maps[:, 3:].mean(axis=1)], 1)
    self.assertAllClose(found, expected.reshape(5, -1))


if __name__ == "__main__":
  tf.test.main()
