"""Tests of records of 360° clips: what goes in comes out, and what does not fit is refused."""

import contextlib
import dataclasses
import io
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.data import record_reader, schema, spherical_features
from avssl_tf.data.building import demo
from avssl_tf.data.clips import Content
from avssl_tf.data.dataset_info import DatasetInfo
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.data.synthetic.spherical import SphericalWorld
from avssl_tf.spectrograms import Spectrogram
from tests import test_base

_SPECTROGRAM = Spectrogram(sample_rate_hz=8000, fft_length=512, hop_length=160, num_bins=129)


class SphericalRecordsTest(test_base.TestCase):

  def build(self, world):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    data = demo.DemoData(world, _SPECTROGRAM, folder.name)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
      data.build_if_missing(num_workers=0)
      data.build_if_missing(num_workers=0)  # Finds its own data again.
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
      (dict(waveform=whole.waveform[:, :2]), r"Sound of 2 channel\(s\) is no ambisonics"),
      (dict(projection="cubemap"), "projection is 'cubemap'; expected 'equirectangular'"),
      (dict(projection=None), "Tracks and masks belong to 360° clips"),
      (dict(masks=whole.masks[:5]), r"Masks are uint8 \(5, 64, 128\); expected uint8 \(12"),
      (
        dict(tracks=dataclasses.replace(whole.tracks, azimuth_rad=whole.tracks.azimuth_rad[:3])),
        r"Tracks have azimuth_rad of the shape \(3, 4\); expected \(12, 4\)",
      ),
    ):
      with self.assertRaisesRegex(ValueError, message):
        spherical_features.add({}, {}, self.content(**fields))


if __name__ == "__main__":
  tf.test.main()
