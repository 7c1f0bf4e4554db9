"""Tests of records: other programs read back what was written."""

import dataclasses
import os
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.data.clip_content import Content, PlannedClip
from avssl_tf.data.records import encoding, schema
from avssl_tf.data.records.jpeg import JpegSettings
from tests import test_base

CLIP = PlannedClip(7, "train", "videos/a.mp4", "a.mp4", ("dog",), 2_500_000, 4_500_000)


def _content(rng, num_frames=4, channels=2, **changes):
  fields = {
    "frames": np.tile(rng.integers(0, 255, (num_frames, 1, 1, 3), np.uint8), (1, 12, 20, 1)),
    "timestamps_us": np.arange(num_frames) * 500_000,
    "waveform": rng.uniform(-1, 1, (100, channels)).astype(np.float32),
  }
  return Content(**{**fields, **changes})


def _encode(content, clip=CLIP, index=None):
  return encoding.encode_example(
    clip, content, "mine", 2.0, 50, ["cat", "dog"], JpegSettings(), index
  )


class RecordsTest(test_base.TestCase):
  def test_a_reader_that_does_as_dmvr_gets_the_clip(self):
    boxes = self.rng.uniform(size=(4, 4)).astype(np.float32)
    content = _content(self.rng, boxes=boxes)
    floats = tf.io.VarLenFeature(tf.float32)
    context, lists = tf.io.parse_single_sequence_example(
      encoding.with_index(_encode(content), 3),
      context_features={
        schema.LABEL_INDEX: tf.io.VarLenFeature(tf.int64),
        schema.LABEL_TEXT: tf.io.VarLenFeature(tf.string),
        schema.LABEL_STRING: tf.io.FixedLenFeature([], tf.string),
        schema.SAMPLE_RATE: tf.io.FixedLenFeature([], tf.float32),
        schema.NUM_CHANNELS: tf.io.FixedLenFeature([], tf.int64),
        schema.NUM_SAMPLES: tf.io.FixedLenFeature([], tf.int64),
        schema.IMAGE_FORMAT: tf.io.FixedLenFeature([], tf.string),
        schema.IMAGE_HEIGHT: tf.io.FixedLenFeature([], tf.int64),
        schema.IMAGE_WIDTH: tf.io.FixedLenFeature([], tf.int64),
        schema.IMAGE_FRAME_RATE: tf.io.FixedLenFeature([], tf.float32),
        schema.CLIP_START: tf.io.FixedLenFeature([], tf.int64),
        schema.CLIP_END: tf.io.FixedLenFeature([], tf.int64),
        schema.CLIP_INDEX: tf.io.FixedLenFeature([], tf.int64),
        schema.CLIP_DATA_PATH: tf.io.FixedLenFeature([], tf.string),
        schema.CLIP_MEDIA_ID: tf.io.FixedLenFeature([], tf.string),
        schema.EXAMPLE_ID: tf.io.FixedLenFeature([], tf.string),
        schema.DATASET_NAME: tf.io.FixedLenFeature([], tf.string),
      },
      sequence_features={
        schema.IMAGE_ENCODED: tf.io.FixedLenSequenceFeature([], tf.string),
        schema.IMAGE_TIMESTAMP: tf.io.FixedLenSequenceFeature([], tf.int64),
        schema.WAVEFORM: floats,
        **{key: tf.io.FixedLenSequenceFeature([], tf.float32) for key in schema.BBOX_KEYS},
      },
    )
    # DMVR takes step 0 of the densified feature list.
    samples = tf.sparse.to_dense(lists[schema.WAVEFORM])[0]
    self.assertAllEqual(tf.reshape(samples, [100, 2]), content.waveform)
    frames = [tf.io.decode_jpeg(jpeg) for jpeg in lists[schema.IMAGE_ENCODED]]
    self.assertAllClose(np.array(frames, int), content.frames.astype(int), atol=4)
    self.assertAllEqual(lists[schema.IMAGE_TIMESTAMP], content.timestamps_us)
    self.assertAllEqual(tf.stack([lists[key] for key in schema.BBOX_KEYS], 1), boxes)
    self.assertAllEqual(context.pop(schema.LABEL_INDEX).values, [1])
    self.assertAllEqual(context.pop(schema.LABEL_TEXT).values, [b"dog"])
    self.assertEqual(
      {key: value.numpy() for key, value in context.items()},
      {
        schema.LABEL_STRING: b"dog",
        schema.SAMPLE_RATE: 50.0,
        schema.NUM_CHANNELS: 2,
        schema.NUM_SAMPLES: 100,
        schema.IMAGE_FORMAT: b"JPEG",
        schema.IMAGE_HEIGHT: 12,
        schema.IMAGE_WIDTH: 20,
        schema.IMAGE_FRAME_RATE: 2.0,
        schema.CLIP_START: 2_500_000,
        schema.CLIP_END: 4_500_000,
        schema.CLIP_INDEX: 3,
        schema.CLIP_DATA_PATH: b"videos/a.mp4",
        schema.CLIP_MEDIA_ID: b"a.mp4",
        schema.EXAMPLE_ID: b"a.mp4@2.500",
        schema.DATASET_NAME: b"mine",
      },
    )

  def test_the_pipelines_parse_specification_fits(self):
    record = encoding.with_index(_encode(_content(self.rng)), 0)
    context, lists = tf.io.parse_single_sequence_example(
      record, schema.context_spec(), schema.sequence_spec()
    )
    self.assertLen(lists[schema.IMAGE_ENCODED], 4)
    self.assertEqual(context[schema.CLIP_INDEX], 0)

  def test_a_record_of_one_modality_has_no_features_of_the_other(self):
    content = _content(self.rng)
    alone = {
      "video": dataclasses.replace(content, waveform=None),
      "audio": dataclasses.replace(content, frames=None, timestamps_us=None),
    }
    prefixes = {"video": "image/", "audio": "WAVEFORM/"}
    whole = tf.train.SequenceExample.FromString(_encode(content))
    for modality, other in (("video", "audio"), ("audio", "video")):
      record = encoding.with_index(_encode(alone[modality]), 0)
      example = tf.train.SequenceExample.FromString(record)
      for part, of_both in (
        (example.context.feature, whole.context.feature),
        (example.feature_lists.feature_list, whole.feature_lists.feature_list),
      ):
        expected = {key for key in of_both if not key.startswith(prefixes[other])}
        self.assertEqual(set(part) - {schema.CLIP_INDEX}, expected)
      tf.io.parse_single_sequence_example(
        record, schema.context_spec([modality]), schema.sequence_spec([modality])
      )
    with self.assertRaisesRegex(ValueError, "neither frames nor a waveform"):
      _encode(dataclasses.replace(alone["video"], frames=None))

  def test_labels_that_are_unknown_have_no_index(self):
    for labels, texts, indexes in (
      ((), [], []),
      (("cow",), [b"cow"], []),
      (("cat",), [b"cat"], [0]),
      (("dog", "cow", "cat"), [b"dog", b"cow", b"cat"], [1, 0]),
    ):
      clip = PlannedClip(0, "train", "a", "a", labels, 0, 1)
      context = tf.train.SequenceExample.FromString(_encode(_content(self.rng), clip)).context
      self.assertEqual(context.feature[schema.LABEL_TEXT].bytes_list.value, texts)
      self.assertEqual(context.feature[schema.LABEL_INDEX].int64_list.value, indexes)

  def test_a_label_that_only_reading_tells_is_used(self):
    clip = PlannedClip(0, "train", "a", "a", (), 0, 1)
    context = tf.train.SequenceExample.FromString(
      _encode(_content(self.rng, label="dog"), clip)
    ).context
    self.assertEqual(context.feature[schema.LABEL_INDEX].int64_list.value, [1])

  def test_bytes_are_deterministic_and_an_index_replaces_another(self):
    content = _content(self.rng)
    record = _encode(content)
    self.assertEqual(record, _encode(content))
    self.assertEqual(encoding.with_index(encoding.with_index(record, 5), 9),
                     encoding.with_index(record, 9))  # fmt: skip
    self.assertEqual(_encode(content, index=9), encoding.with_index(record, 9))
    self.assertEqual(encoding.read_index(encoding.with_index(record, 9)), 9)
    with self.assertRaisesRegex(ValueError, "0 values of clip/index"):
      encoding.read_index(record)

  def test_sound_that_reads_back_as_noise_is_refused(self):
    content = _content(self.rng)
    record = _encode(content)
    encoding._check_sound(record, content.waveform)
    as_integers = (content.waveform * 2**31).astype(np.int32).view(np.float32)
    with self.assertRaisesRegex(ValueError, "reads back"):
      encoding._check_sound(record, np.nan_to_num(as_integers))
    with self.assertRaisesRegex(ValueError, "reads back"):
      encoding._check_sound(record, content.waveform * np.float32(0.999))

  def test_bad_content_is_refused(self):
    rng = self.rng
    for pattern, content in (
      ("Frames are float32", _content(rng, frames=np.zeros((4, 2, 2, 3), np.float32))),
      ("Frames are uint8 \\(0", _content(rng, 0)),
      ("4 frames have 3", _content(rng, timestamps_us=np.arange(3))),
      ("strictly increasing", _content(rng, timestamps_us=np.zeros(4, int))),
      ("waveform is float64", _content(rng, waveform=np.zeros((5, 1)))),
      ("non-finite", _content(rng, waveform=np.full((5, 1), np.nan, np.float32))),
      ("peak is 1.5", _content(rng, waveform=np.full((5, 1), -1.5, np.float32))),
      ("Boxes have the shape", _content(rng, boxes=np.zeros((3, 4), np.float32))),
    ):
      with self.assertRaisesRegex(ValueError, pattern):
        _encode(content)

  def test_records_are_found_by_their_offsets(self):
    with tempfile.TemporaryDirectory() as folder:
      path = os.path.join(folder, "file.tfrecord")
      written = [b"a" * 10, b"", b"bc" * 1000]
      with tf.io.TFRecordWriter(path) as writer:
        for record in written:
          writer.write(record)
      offsets = encoding.scan_offsets(path)
      self.assertEqual(offsets, [0, 26, 42])
      self.assertEqual([encoding.read_record(path, offset) for offset in offsets], written)
      self.assertEqual(list(encoding.read_file(path)), written)
      with open(path, "rb+") as f:
        f.seek(offsets[2] + 20)
        f.write(b"X")
      for read in (lambda: encoding.read_record(path, offsets[2]),
                   lambda: list(encoding.read_file(path))):  # fmt: skip
        with self.assertRaisesRegex(ValueError, f"{path} is damaged.*Delete it"):
          read()
      for size in (os.path.getsize(path) - 1, 45):
        os.truncate(path, size)
        with self.assertRaisesRegex(ValueError, "record 2 exceeds the file size.*Delete it"):
          encoding.scan_offsets(path)


if __name__ == "__main__":
  tf.test.main()
