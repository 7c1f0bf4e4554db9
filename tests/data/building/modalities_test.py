"""Tests of video-only and audio-only data sets, from real files and from a world."""

import os
import subprocess
import sys

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.building import demo
from avssl_tf.data.building.build import build
from avssl_tf.data.building.plan import Cutting
from avssl_tf.data.building.readers import MediaReader
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.survey import survey
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.spectrograms import Spectrogram
from tests import media_variants
from tests.data.building import build_case, fake_source

WHOLE_FILES = Cutting(3600.0, 0.1)
REPOSITORY = os.path.dirname(media_variants.SOURCE).rsplit("tests", 1)[0]


class MediaFilesTest(media_variants.MediaTestCase):
  """Videos without audio and audio files without video, one record each."""

  def build(self, paths, modality, num_channels=1):
    requests = [ClipRequest("train", p, None, None, ("x",), os.path.basename(p)) for p in paths]
    output = os.path.join(self.folder, "data")
    reader = MediaReader(16.0, 32, 8000, num_channels)
    recipe = Recipe(
      "alone", requests, ["x"], reader, WHOLE_FILES, num_shards=2, modalities=[modality],
      spectrogram=Spectrogram(sample_rate_hz=8000, fft_length=256, hop_length=80, num_bins=129),
    )  # fmt: skip
    return output, build(recipe, output, 0, 0.5)

  def inspect(self, output):
    picture = os.path.join(self.folder, "contact.png")
    tool = os.path.join(REPOSITORY, "tools", "inspect_records.py")
    command = [sys.executable, tool, f"--data_dir={output}", f"--output={picture}"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    self.assertEqual(process.returncode, 0, process.stdout + process.stderr)
    self.assertTrue(os.path.exists(picture))
    return process.stdout

  def test_videos(self):
    times = {"a.mp4": 5.0, "b.avi": 2.5}
    paths = []
    for name, end_sec in times.items():
      pictures = media_variants.pictures_at(media_variants.regular_times(25, end_sec=end_sec))
      codec = "mpeg4" if name.endswith("avi") else "libx264"
      paths.append(os.path.join(self.folder, name))
      media_variants.write_media(paths[-1], pictures, None, video_codec=codec,
                                 time_base=media_variants.Fraction(1, 25))  # fmt: skip
    paths.append(self.write("c.wav", None, audio_codec="pcm_s16le"))
    output, result = self.build(paths, keys.VIDEO, num_channels=None)
    info = DatasetInfo.load(output)
    self.assertEqual(info.modalities, ["video"])
    self.assertEqual((info.sample_rate_hz, info.num_channels), (0, 0))
    self.assertEqual((info.frame_rate_hz, info.frame_size), (16.0, [32, 57]))
    self.assertEqual(info.spectrogram_statistics, {})
    self.assertEqual([failure.reason for failure in result.failures], ["no video stream"])
    clip = datasets.ClipSpec(num_frames=8, frame_size=28)
    (batch,) = datasets.evaluation_dataset(output, "train", clip, 8, windows_per_clip=3)
    self.assertNotIn(keys.AUDIO, batch)
    self.assertEqual(batch[keys.VIDEO].shape, (6, 8, 28, 28, 3))
    differences = np.abs(np.diff(batch[keys.VIDEO].numpy().astype(int), axis=0)).mean((1, 2, 3, 4))
    self.assertTrue(np.all(differences > 1), differences)
    told = self.inspect(output)
    self.assertIn("video      57x32 (2), 16 Hz", told)
    self.assertIn("audio      none", told)

  def test_sounds(self):
    paths = [
      self.write("a.wav", None, media_variants.sine(3.0), audio_codec="pcm_s16le"),
      self.write("b.ogg", None, media_variants.sine(2.0), audio_codec="libopus"),
      self.write("c.flac", None, media_variants.sine(1.0), audio_codec="flac"),
      self.write("d.mp4", samples=media_variants.sine(2.0), duration_sec=1.0),
    ]
    output, result = self.build(paths, keys.AUDIO)
    info = result.info
    self.assertEmpty(result.failures)
    self.assertEqual(info.modalities, ["audio"])
    self.assertEqual((info.sample_rate_hz, info.num_channels), (8000, 1))
    self.assertEqual((info.frame_rate_hz, info.frame_size), (0.0, [0, 0]))
    self.assertLen(info.spectrogram_statistics, 1)
    self.assertAlmostEqual(result.duration_sec["train"], 8.0, delta=0.1)
    clip = datasets.ClipSpec(audio_sec=0.5)
    stream = datasets.training_dataset(output, "train", clip, datasets.Augmentation(), 4, seed=0)
    batch = next(iter(stream))
    self.assertNotIn(keys.VIDEO, batch)
    self.assertEqual(batch[keys.AUDIO].shape, (4, 4000, 1))
    self.assertGreater(np.abs(batch[keys.AUDIO]).max(axis=1).min(), 0.4)
    told = self.inspect(output)
    self.assertIn("video      none", told)
    self.assertIn("audio      8000 Hz, 1 channel", told)

  def test_modalities_that_are_none(self):
    for modalities in ([], ["video", "smell"]):
      with self.assertRaisesRegex(ValueError, r"expected one or both of \['video', 'audio'\]"):
        Recipe("a", [], [], MediaReader(), modalities=modalities)


class BuilderTest(build_case.BuildCase):
  def test_either_modality_is_built_resumed_and_checked(self):
    for modality in keys.MODALITIES:
      output = self.new_folder()
      recipe = fake_source.recipe(self.inputs, modalities=[modality])
      info = build(recipe, output, 0).info
      self.assertEmpty(survey(output, info).problems)
      self.assertEqual(survey(output, info).duration_sec["train"], 29.0)
      self.assertTrue(build(recipe, output, 0).was_complete)

  def test_a_record_that_lacks_a_modality_is_a_problem(self):
    info = build(fake_source.recipe(self.inputs, modalities=["video"]), self.output, 0).info
    info.modalities = ["video", "audio"]
    self.assertIn("a feature of the schema is missing", survey(self.output, info).problems[0])

  def test_a_world_may_be_silent_or_dark(self):
    for modality, known in (("video", False), ("audio", True)):
      output = self.new_folder()
      recipe = demo.recipe(PlanarWorld(num_train=2, num_test=1), num_shards=1)
      recipe = Recipe(**{**vars(recipe), "modalities": [modality]})
      info = build(recipe, output, 0).info
      self.assertEmpty(survey(output, info).problems)
      self.assertEqual(info.records("train").sound_replaced is not None, known)


if __name__ == "__main__":
  tf.test.main()
