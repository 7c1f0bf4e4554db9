"""Tests of records of 360° clips: contents round-trip, and invalid contents are refused."""

import contextlib
import dataclasses
import functools
import io
import os
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.data.building import demo
from avssl_tf.data.clip_content import Content
from avssl_tf.data.records import record_reader, schema, spherical_features
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.data.synthetic.spherical import SphericalWorld
from avssl_tf.spatial import optical_flow
from avssl_tf.spectrograms import Spectrogram
from tests import test_base

_SPECTROGRAM = Spectrogram(sample_rate_hz=8000, fft_length=512, hop_length=160, num_bins=129)


class SphericalRecordsTest(test_base.TestCase):

  def build(self, world, flow=False):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    data = demo.DemoData(world, _SPECTROGRAM, folder.name, flow)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
      data.build_if_missing(num_workers=0)
      data.build_if_missing(num_workers=0)  # Reads its own data.
    return folder.name

  def test_clips_and_their_truth_come_out_as_they_went_in(self):
    world = SphericalWorld(num_train=2, num_test=1, num_sounding=(1, 2), num_silent=(0, 2))
    folder = self.build(world)
    info = DatasetInfo.load(folder)
    self.assertEqual(info.projection, "equirectangular")
    self.assertEqual((info.num_channels, info.frame_size), (4, [64, 128]))
    self.assertIn(_SPECTROGRAM.id, info.spectrogram_statistics)
    reader = record_reader.RecordReader(folder, "train")
    read = tf.function(reader.read)
    for index in range(2):
      clip, stored = world.clip("train", index), read(tf.constant(index, tf.int64))
      self.assertAllEqual(stored.waveform, clip.waveform)
      frames = np.stack([tf.io.decode_jpeg(frame).numpy() for frame in stored.frames])
      self.assertLess(np.abs(frames.astype(int) - clip.frames).mean(), 4)
      for name in ("labels", "is_sounding", "azimuth_rad", "elevation_rad"):
        self.assertAllEqual(getattr(stored.truth, name), getattr(clip.tracks, name))
      masks = [tf.io.decode_png(mask).numpy()[..., 0] for mask in stored.truth.masks]
      self.assertAllEqual(masks, clip.masks)
      self.assertEqual(stored.label, clip.tracks.labels[0])
      example = tf.train.SequenceExample.FromString(
        reader.serialized(tf.constant(index, tf.int64)).numpy()
      )
      context = example.context.feature
      self.assertEqual(context[schema.PROJECTION].bytes_list.value[0], b"equirectangular")
      self.assertEqual(context[schema.AMBISONICS].bytes_list.value[0], b"ACN/SN3D")

  def test_ordinary_clips_have_nothing_of_it(self):
    folder = self.build(PlanarWorld(num_train=1, num_test=1))
    self.assertIsNone(DatasetInfo.load(folder).projection)
    reader = record_reader.RecordReader(folder, "train")
    self.assertIsNone(reader.read(tf.constant(0, tf.int64)).truth)
    record = reader.serialized(tf.constant(0, tf.int64)).numpy()
    for key in (schema.PROJECTION, schema.AMBISONICS, schema.MASK_ENCODED, schema.OBJECT_AZIMUTH):
      self.assertNotIn(key.encode(), record)

  def test_flow_is_stored_beside_the_frames(self):
    world = SphericalWorld(num_train=2, num_test=1)
    folder = self.build(world, flow=True)
    self.assertTrue(DatasetInfo.load(folder).flow)
    reader = record_reader.RecordReader(folder, "train")
    for index in range(2):
      stored = reader.read(tf.constant(index, tf.int64))
      expected = optical_flow.flow_pictures(world.clip("train", index).frames)
      decode = functools.partial(tf.io.decode_jpeg, dct_method="INTEGER_ACCURATE")
      found = np.stack([decode(picture).numpy() for picture in stored.flow])
      self.assert_shape(found, expected.shape, np.uint8)
      # In steps of 0.18°.
      error = np.abs(found.astype(int) - expected)
      self.assertLess(error.mean(axis=(0, 1, 2)).max(), 1.2)
      self.assertLess(np.percentile(error, 99), 6)
    record = reader.serialized(tf.constant(0, tf.int64)).numpy()
    context = tf.train.SequenceExample.FromString(record).context.feature
    self.assertEqual(context["FORWARD_FLOW/image/format"].bytes_list.value[0], b"JPEG")

  def test_records_without_flow_are_as_they_were(self):
    world = SphericalWorld(num_train=1, num_test=1)
    plain, with_flow = self.build(world), self.build(world, flow=True)
    with open(os.path.join(plain, "dataset_info.json"), encoding="utf-8") as f:
      self.assertNotIn('"flow"', f.read())
    self.assertFalse(DatasetInfo.load(plain).flow)
    records = []
    for folder in (plain, with_flow):
      reader = record_reader.RecordReader(folder, "train")
      record = reader.serialized(tf.constant(0, tf.int64)).numpy()
      records.append(tf.train.SequenceExample.FromString(record))
      self.assertEqual(reader.read(tf.constant(0, tf.int64)).flow is None, folder == plain)
    self.assertNotIn(schema.FLOW_ENCODED, records[0].feature_lists.feature_list)
    del records[1].context.feature[schema.FLOW_FORMAT]
    del records[1].feature_lists.feature_list[schema.FLOW_ENCODED]
    self.assertEqual(*(r.SerializeToString(deterministic=True) for r in records))

  def test_a_clip_without_truth(self):
    content = self.content(tracks=None, masks=None)
    context, lists = {}, {}
    spherical_features.add(context, lists, content)
    self.assertEqual(set(context), {schema.PROJECTION, schema.AMBISONICS})
    self.assertEqual(lists, {})
    example = tf.train.SequenceExample(
      context=tf.train.Features(
        feature={
          **context,
          schema.EXAMPLE_ID: tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"])),
          schema.CLIP_INDEX: tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
        }
      ),
    )
    parsed_context, parsed_lists = tf.io.parse_single_sequence_example(
      example.SerializeToString(),
      schema.context_spec((), spherical=True),
      schema.sequence_spec((), spherical=True),
    )
    truth = record_reader._truth(parsed_context, parsed_lists)
    for part in truth:
      self.assertEqual(tf.size(part), 0)

  def content(self, **fields) -> Content:
    return dataclasses.replace(SphericalWorld(num_train=1).content("train", 0), **fields)

  def test_what_does_not_fit_is_refused(self):
    whole = self.content()
    for fields, message in (
      (dict(frames=whole.frames[:, :, :100]), "A frame of a 360° clip has 100x64 pixels"),
      (dict(waveform=whole.waveform[:, :2]), r"Audio with 2 channel\(s\) is not ambisonics"),
      (dict(projection="cubemap"), "projection is 'cubemap'; expected 'equirectangular'"),
      (dict(projection=None), "Tracks, masks and flow require a 360° clip"),
      (dict(flow=whole.frames[:5]), r"Flow is uint8 \(5, 64, 128, 3\); expected uint8 \(12"),
      (dict(masks=whole.masks[:5]), r"Masks are uint8 \(5, 64, 128\); expected uint8 \(12"),
      (
        dict(tracks=dataclasses.replace(whole.tracks, azimuth_rad=whole.tracks.azimuth_rad[:3])),
        r"Tracks.azimuth_rad has the shape \(3, 4\); expected \(12, 4\)",
      ),
    ):
      with self.assertRaisesRegex(ValueError, message):
        spherical_features.add({}, {}, self.content(**fields))


if __name__ == "__main__":
  tf.test.main()
