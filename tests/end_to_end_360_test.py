"""From 360° videos with real ambisonics to an aligned model, by the command line.

Frames of a real film on a sphere, with a real recording in first-order ambisonics rotated to
several directions, in the layout of YT-360.
"""

import os
import re
import shutil
import tempfile

import cv2
import numpy as np
import tensorflow as tf
from scipy.io import wavfile

from avssl_tf.data.media import clip_reading
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records import dataset_info
from avssl_tf.data.records.record_reader import RecordReader
from avssl_tf.inference import serving
from avssl_tf.spatial import ambisonics, directions
from tests import command, media_variants, source_tree, test_base

_FIELD = os.path.join(str(source_tree.ROOT), "tests", "testdata", "foa_acn_sn3d_48k.wav")
# Rotation of the recording, with its source in front, in each segment.
_YAW_DEG = {
  "aaaaaaaaaaa-0": 0.0,
  "aaaaaaaaaaa-10": 90.0,
  "bbbbbbbbbbb-3": 180.0,
  "cc-cccccccc-7": -60.0,
}
_LISTS = {
  "train.txt": "aaaaaaaaaaa\nbbbbbbbbbbb\n",
  "test.txt": "cc-cccccccc\n",
  "segments.txt": "aaaaaaaaaaa 0,10,20\nbbbbbbbbbbb 3\ncc-cccccccc 7\n",
}
_TINY = """
batch_size = 2
num_epochs = 2
train.clips_per_video = 2
SpatialAlignment.warmup_epochs = 1
ClipSpec.num_frames = 2
ClipSpec.frame_rate_hz = 8.0
ClipSpec.frame_size = 32
ClipSpec.audio_sec = 0.5
R2Plus1D.depth = 6
R2Plus1D.stage_widths = (4, 8, 8, 16)
AudioNet.stage_widths = (4, 8, 8, 16)
MLPHead.widths = (8,)
"""
# A network that generates sound fields from frames and optical flow, for the same records.
_TINY_GENERATOR = """
batch_size = 2
num_epochs = 1
train.clips_per_video = 2
train.probe = None
ClipSpec.num_frames = 4
ClipSpec.frame_size = 32
ClipSpec.audio_sec = 0.5
ClipSpec.flow = True
SpatialUNet.flow_net = @flow/PanoramaNet()
flow/PanoramaNet.name = "flow_net"
AudioUNet.widths = (4, 4, 8, 8, 8)
"""


def _write_segments(folder: str) -> np.ndarray:
  """Writes video and audio files; returns the recording, float32 `[samples, 4]`."""
  film = clip_reading.read_clip(
    media_variants.SOURCE, 0.0, 2.0, frame_rate_hz=10, short_side=64, modalities=("video",)
  )
  frames = [cv2.resize(frame, (128, 64)) for frame in film.frames]
  _, samples = wavfile.read(_FIELD)
  field = samples.astype(np.float32) / 32768.0
  for kind in ("video", "audio"):
    os.makedirs(os.path.join(folder, kind))
  for stem, yaw_deg in _YAW_DEG.items():
    turned = ambisonics.rotate(field, directions.rotation(np.float32(np.deg2rad(yaw_deg))))
    media_variants.write_media(
      os.path.join(folder, "video", f"{stem}.mp4"),
      [(i / 10, frame) for i, frame in enumerate(frames)],
      None,
    )
    media_variants.write_media(
      os.path.join(folder, "audio", f"{stem}.mkv"),
      None,
      turned.numpy().T,
      layout="4.0",
      audio_codec="flac",
    )
  for name, text in _LISTS.items():
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
      f.write(text)
  return field


class EndToEnd360Test(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, cls.folder)
    cls.field = _write_segments(os.path.join(cls.folder, "yt360"))
    cls.data_dir, cls.model_dir = (os.path.join(cls.folder, n) for n in ("records", "run"))
    cls.build_report = command.output_of(
      os.path.join("tools", "make_tfrecords.py"), "--source=yt360",
      f"--input_dir={cls.folder}/yt360", f"--output_dir={cls.data_dir}", "--num_workers=0",
      "--num_shards=1", "--max_failure_rate=0.5", "--frame_rate_hz=8", "--short_side=64",
      "--min_duration_sec=1", "--flow",
    )  # fmt: skip
    with open(os.path.join(cls.folder, "tiny.gin"), "w", encoding="utf-8") as f:
      f.write(_TINY)
    cls.train_report = command.output_of(
      "-m", "avssl_tf.train", "--gin_file=gin/avsa.gin", "--gin_file=gin/scale/yt360.gin",
      f"--gin_file={cls.folder}/tiny.gin", f"--gin_param=data_dir='{cls.data_dir}'",
      f"--model_dir={cls.model_dir}",
    )  # fmt: skip

  def test_records(self):
    info = dataset_info.DatasetInfo.load(self.data_dir)
    self.assertEqual((info.num_clips("train"), info.num_clips("test")), (3, 1))
    self.assertEqual((info.projection, info.num_channels), ("equirectangular", 4))
    self.assertEqual(info.frame_size, [64, 128])
    self.assertTrue(info.flow)
    self.assertIn("1 of 5 listed clips", self.build_report)
    self.assertIn("failures          1", self.build_report)
    self.assertIn("--gin_file=gin/avsa.gin --gin_file=gin/scale/yt360.gin", self.build_report)
    self.assertIn("Train:", self.build_report)

  def test_sound_comes_from_where_it_was_turned_to(self):
    reader = RecordReader(self.data_dir, "train")
    found = {}
    for number in range(3):
      stored = reader.read(tf.constant(number, tf.int64))
      energy = ambisonics.energy_map(stored.waveform, 36, 72).numpy()
      row, column = np.unravel_index(np.argmax(energy), energy.shape)
      self.assertBetween(90 - 5 * (row + 0.5), -10, 10)
      found[stored.key.numpy().decode()] = (180 - 5 * (column + 0.5)) % 360
    for key, azimuth_deg in found.items():
      expected = _YAW_DEG[key.split(".mp4")[0]]
      self.assertLess(abs((azimuth_deg - expected + 180) % 360 - 180), 10)

  def test_trains_and_answers(self):
    with open(os.path.join(self.model_dir, "metrics.jsonl"), encoding="utf-8") as f:
      text = f.read()
    losses = [float(value) for value in re.findall(r'"loss": ([^,]+),', text)]
    self.assertNotEmpty(losses)
    self.assertTrue(np.isfinite(losses).all())
    self.assertIn("probe/viewpoint_retrieval", text)
    self.assertNotIn("probe/linear_video", text)  # There are no labels.
    saved_model = os.path.join(self.model_dir, "saved_model")
    spec = serving.InputSpec.load(saved_model)
    module = tf.saved_model.load(saved_model)
    (batch,) = datasets.evaluation_dataset(self.data_dir, "test", spec.clip(), 1)
    features = {
      modality: module.signatures[f"embed_{modality}"](**{modality: batch[modality][0]})[
        f"{modality}_features"
      ][tf.newaxis]
      for modality in ("video", "audio")
    }
    outputs = module.signatures["translate"](
      **{f"{modality}_features": value for modality, value in features.items()}
    )
    self.assert_shape(outputs["audio_prediction"], [1, 4, 8], tf.float32)
    self.assertAllClose(tf.norm(outputs["audio_prediction"], axis=-1), np.ones([1, 4]))

  def test_generates_sound_fields_and_measures_them(self):
    with open(os.path.join(self.folder, "generator.gin"), "w", encoding="utf-8") as f:
      f.write(_TINY_GENERATOR)
    model_dir = os.path.join(self.folder, "generator")
    command.output_of(
      "-m", "avssl_tf.train", "--gin_file=gin/spatial_audio.gin",
      f"--gin_file={self.folder}/generator.gin", f"--gin_param=data_dir='{self.data_dir}'",
      f"--model_dir={model_dir}",
    )  # fmt: skip
    exported = os.path.join(model_dir, "saved_model")
    report = command.output_of(
      "-m", "avssl_tf.evaluate", "--task=spatial_audio", f"--model_dir={model_dir}",
      f"--gin_param=others={{'exported': '{exported}'}}",
    )  # fmt: skip
    rows = {line.split()[0]: line.split()[1:] for line in report.splitlines() if line}
    # The network, its export, silence, the copy, the prior, one vector, and no directions.
    found = rows["all_error_db,"][1:]
    self.assertLen(found, 7)
    self.assertEqual(found[0], found[1])
    self.assertEqual((found[2], found[6]), ("0.0", "-"))
    # The recording has a source in front and was rotated: no mean direction, but one per clip.
    self.assertLess(float(found[5]), -3.0)
    self.assertLess(float(found[5]), float(found[0]))
    self.assertGreater(float(found[3]), 1.0)
    self.assertEqual(rows["num_all"][:2], ["1", "1"])
    self.assertNotIn("one_error_db", report)  # The sources are not known.
    with open(os.path.join(model_dir, "evaluation", "spatial_audio", "clips.csv")) as f:
      self.assertLen(f.read().splitlines(), 1 + 7)

  def test_evaluates_and_draws(self):
    for task, name in (("viewpoint_retrieval", "viewpoint_retrieval"), ("avsa_bin", "avsa_bin_4")):
      report = command.output_of(
        "-m", "avssl_tf.evaluate", f"--task={task}", f"--model_dir={self.model_dir}",
        *(["--gin_param=num_epochs=1"] if task == "avsa_bin" else []),
      )  # fmt: skip
      self.assertRegex(report, rf"(?m)^{name} +[0-9.]+")
    output = os.path.join(self.folder, "alignment.png")
    report = command.output_of(
      os.path.join("tools", "draw_alignment.py"),
      f"--model_dir={self.model_dir}", f"--output={output}",
    )  # fmt: skip
    self.assertIn("of 4 viewpoints matched with their own audio", report)
    self.assertGreater(cv2.imread(output).std(), 10)


if __name__ == "__main__":
  tf.test.main()
