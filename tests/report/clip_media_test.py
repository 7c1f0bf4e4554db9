"""Tests of the media of clips on a page."""

import base64
import io
import os
import unittest

import numpy as np
import soundfile
from PIL import Image

from avssl_tf.data.records.record_reader import RecordReader
from avssl_tf.report import clip_media
from tests import tiny_alignment, tiny_run


def _decoded(uri: str) -> io.BytesIO:
  return io.BytesIO(base64.b64decode(uri.split(",")[1]))


class ClipMediaTest(tiny_run.TestCase):

  def test_a_clip_of_the_demo_world(self):
    reader = RecordReader(self.data_dir, "test")
    media = clip_media.load(reader, 3)
    stored = reader.read(3)
    self.assertEqual(media.key, stored.key.numpy().decode())
    self.assertEqual(media.labels, [reader.info.label_names[int(stored.label)]])
    frames = Image.open(_decoded(media.animation))
    self.assertEqual(frames.size, (96, 96))
    self.assertEqual(frames.n_frames, 12)  # 1.5 s at 8 Hz
    waveform, rate_hz = soundfile.read(_decoded(media.sound))
    self.assertEqual(rate_hz, 8000)
    self.assertAlmostEqual(len(waveform) / rate_hz, 1.5, delta=0.2)
    self.assertAlmostEqual(
      float(np.sqrt(np.mean(waveform**2))), float(np.sqrt(np.mean(stored.waveform**2))), delta=0.02
    )
    self.assertEqual(Image.open(_decoded(media.spectrogram)).size, (148, 96))

  def test_of_a_sound_field_w_is_heard(self):
    data_dir = tiny_alignment.make_data(os.path.join(self.data_dir, "..", "data360"))
    reader = RecordReader(data_dir, "test")
    media = clip_media.load(reader, 0)
    self.assertEqual(Image.open(_decoded(media.animation)).size, (192, 96))
    waveform, _ = soundfile.read(_decoded(media.sound))
    w = reader.read(0).waveform[:, 0]
    self.assertEqual(waveform.ndim, 1)
    self.assertAlmostEqual(
      float(np.sqrt(np.mean(waveform**2))), float(np.sqrt(np.mean(w**2))), delta=0.02
    )


if __name__ == "__main__":
  unittest.main()
