"""Tests that stored images that declare gigabytes of pixels are refused by their headers."""

import dataclasses
import io
import os
import unittest

import cv2
import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.building import segmentation_maps
from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.data.pipeline import datasets, frame_ops, ordinary
from avssl_tf.data.records import jpeg, record, schema, survey
from avssl_tf.report import clip_media
from avssl_tf.report.drawings import contact_sheet
from tests import hostile_media
from tests.data import toy_records

_TOO_LARGE = "(?s)too large or damaged.*16000.*expected at most 33554432 pixels"
_CLAIMED = "too large .*256000000 pixels.*; expected at most 33554432"


def _with_frames(serialized: bytes, encoded: bytes, places=None) -> bytes:
  """A record in which some or all frames are replaced by another image."""
  example = tf.train.SequenceExample.FromString(serialized)
  steps = example.feature_lists.feature_list[schema.IMAGE_ENCODED].feature
  for place in range(len(steps)) if places is None else places:
    steps[place].bytes_list.value[0] = encoded
  return example.SerializeToString()


class PipelineTest(toy_records.ToyRecordsCase):

  def test_bombs_in_records(self):
    bomb = hostile_media.jpeg(16000, 16000)
    for places in (None, [19], range(1, 20)):
      records = [_with_frames(toy_records.record(i), bomb, places) for i in range(4)]
      clip = dataclasses.replace(toy_records.CLIP, num_frames=20)
      data_dir = self.new_data_set(records)
      for augmentation in (None, toy_records.ONLY_CROP):
        data = datasets.training_dataset(
          data_dir, "train", clip, augmentation, batch_size=4, seed=0
        )
        hostile_media.reset_peak_memory()
        reason = f"(?s)Clip.*clip[0-3]@0.000.*{_TOO_LARGE[4:]}"
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, reason):
          next(iter(data))
        self.assertLess(hostile_media.peak_memory_mb(), 200)

  def new_data_set(self, records):
    folder = self.enter_context(toy_records.tempfile.TemporaryDirectory())
    toy_records.write(folder, [records])
    return folder

  def test_whole_frames(self):
    good = cv2.imencode(".jpg", np.full((8, 16, 3), 99, np.uint8))[1].tobytes()
    self.assertEqual(frame_ops.decode_jpeg(tf.constant(good)).shape, (8, 16, 3))
    for bad in (hostile_media.jpeg(16000, 16000), hostile_media.png(16000, 16000)):
      with self.assertRaises(tf.errors.InvalidArgumentError):
        frame_ops.decode_jpeg(tf.constant(bad))

  def test_masks(self):
    mask = np.arange(128, dtype=np.uint8).reshape(8, 16)
    good = cv2.imencode(".png", mask)[1].tobytes()
    self.assertAllEqual(frame_ops.decode_png(tf.constant(good)), mask)
    with self.assertRaisesRegex(tf.errors.InvalidArgumentError, _TOO_LARGE):
      frame_ops.decode_png(tf.constant(hostile_media.png(16000, 16000)))
    for bad in (good[:20], b"", good[:16] + b"\xff" * 8 + good[24:]):
      with self.assertRaises(tf.errors.InvalidArgumentError):
        frame_ops.decode_png(tf.constant(bad))

  def test_center_of_frames(self):
    bomb = tf.constant([hostile_media.jpeg(16000, 16000)] * 4)
    with self.assertRaisesRegex(tf.errors.InvalidArgumentError, _TOO_LARGE):
      ordinary.center_frames(tf.unstack(bomb), toy_records.CLIP)


class OutsideOfGraphsTest(toy_records.ToyRecordsCase):

  def test_decode(self):
    frame = np.zeros((16, 24, 3), np.uint8)
    frame[..., 0] = 200
    encoded = jpeg.encode_frames(frame[None], 1.0, jpeg.JpegSettings())[0]
    self.assertAllClose(jpeg.decode(encoded).astype(int), frame.astype(int), atol=4)
    hostile_media.reset_peak_memory()
    with self.assertRaisesRegex(ValueError, _CLAIMED):
      jpeg.decode(hostile_media.jpeg(16000, 16000))
    with self.assertRaisesRegex(ValueError, "cannot be decoded as a JPEG"):
      jpeg.decode(hostile_media.png(16000, 16000))
    with self.assertRaisesRegex(ValueError, "cannot be decoded as a JPEG"):
      jpeg.decode(b"")
    self.assertLess(hostile_media.peak_memory_mb(), 100)

  def test_pages_and_checks(self):
    bomb = _with_frames(toy_records.record(0), hostile_media.jpeg(16000, 16000))
    clip = record.Record.parse(bomb, keys.MODALITIES)
    with self.assertRaisesRegex(ValueError, "too large .*256000000 pixels"):
      contact_sheet.filmstrip(clip)
    with self.assertRaisesRegex(ValueError, "too large .*256000000 pixels"):
      clip_media._frame(clip.frames[0])
    found = list(survey._check_decoding(clip, clip.frames, "frame"))
    self.assertRegex(found[0], "frame 0 cannot be decoded as a JPEG: .*256000000 pixels")

  def test_segmentation_maps(self):
    folder = self.enter_context(toy_records.tempfile.TemporaryDirectory())
    for kind in ("things", "stuff"):
      with open(os.path.join(folder, f"{kind}-0000.png"), "wb") as f:
        f.write(hostile_media.png(16000, 16000))
    hostile_media.reset_peak_memory()
    with self.assertRaisesRegex(MediaError, _CLAIMED):
      segmentation_maps.read(folder, np.zeros(1), 2)
    self.assertLess(hostile_media.peak_memory_mb(), 100)

  def test_size_by_the_header(self):
    file = io.BytesIO(hostile_media.png(16, 32))
    jpeg.check_size(file, "A mask", "PNG", 512)
    with self.assertRaisesRegex(ValueError, "A mask has 32x16 pixels; expected at most 511"):
      jpeg.check_size(file, "A mask", "PNG", 511)


if __name__ == "__main__":
  unittest.main()
