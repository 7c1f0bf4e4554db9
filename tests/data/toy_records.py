"""Records whose contents identify each frame and sample, for tests of the pipeline."""

import itertools
import os
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data import clip_content
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records import dataset_info, encoding, jpeg, schema
from tests import test_base

FRAME_RATE_HZ = 10.0
SAMPLE_RATE_HZ = 1000
NUM_STORED_FRAMES = 20
DURATION_SEC = NUM_STORED_FRAMES / FRAME_RATE_HZ
SIZE = 24
LABELS = ("bell", "drum", "horn")
CLIP = datasets.ClipSpec(
  num_frames=4, frame_rate_hz=FRAME_RATE_HZ, frame_size=16, audio_sec=0.8, max_offset_sec=0.25
)
ONLY_CROP = datasets.Augmentation(
  flip_probability=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, volume=(1.0, 1.0)
)


def record(
  index,
  num_frames=NUM_STORED_FRAMES,
  num_channels=2,
  label=None,
  modalities=keys.MODALITIES,
  **names,
):
  """A clip whose grey levels number the frames and whose audio is a ramp over time."""
  levels = 10 * np.arange(num_frames) + 20
  frames = np.broadcast_to(levels[:, None, None, None], (num_frames, SIZE, SIZE, 3))
  num_samples = round(num_frames / FRAME_RATE_HZ * SAMPLE_RATE_HZ)
  ramp = np.arange(num_samples, dtype=np.float32) / (DURATION_SEC * SAMPLE_RATE_HZ)
  seen, heard = keys.VIDEO in modalities, keys.AUDIO in modalities
  content = clip_content.Content(
    frames=frames.astype(np.uint8) if seen else None,
    timestamps_us=np.arange(num_frames) * 100_000 if seen else None,
    waveform=np.stack([ramp, -ramp], axis=1)[:, :num_channels] if heard else None,
    label=None if label is None else LABELS[label],
  )
  return encode(index, content, **names)


def encode(index, content, media_id=None, start_sec=0, labels=()):
  planned = clip_content.PlannedClip(
    request=index,
    split="train",
    path=f"{index}.mp4",
    media_id=media_id or f"clip{index}",
    labels=labels,
    start_us=start_sec * 1_000_000,
    end_us=(start_sec + 2) * 1_000_000,
  )
  encoded = encoding.encode_example(
    planned, content, "test", FRAME_RATE_HZ, SAMPLE_RATE_HZ, LABELS, jpeg.JpegSettings()
  )
  return encoding.with_index(encoded, index)


def write(folder, shards, modalities=keys.MODALITIES):
  """Writes a data set with one split "train" whose shards contain the given records."""
  table = []
  for number, shard in enumerate(shards):
    name = f"train-{number:05d}.tfrecord"
    with tf.io.TFRecordWriter(os.path.join(folder, name)) as writer:
      for record in shard:
        writer.write(record)
    contexts = [tf.train.SequenceExample.FromString(record).context.feature for record in shard]
    table.append(
      dataset_info.Shard(
        name,
        encoding.scan_offsets(os.path.join(folder, name)),
        [c[schema.EXAMPLE_ID].bytes_list.value[0].decode() for c in contexts],
        [[*c[schema.LABEL_INDEX].int64_list.value, -1][0] for c in contexts],
      )
    )
  info = dataset_info.DatasetInfo(
    name="test",
    splits={"train": table, "empty": []},
    frame_rate_hz=FRAME_RATE_HZ,
    frame_size=[SIZE, SIZE],
    sample_rate_hz=SAMPLE_RATE_HZ,
    num_channels=2,
    clip_duration_sec=DURATION_SEC,
    modalities=list(modalities),
  )
  info.save(folder)


def merge(batches):
  batches = list(batches)
  return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def take(dataset, count):
  return merge(itertools.islice(dataset.as_numpy_iterator(), count))


def frame_numbers(video):
  """Stored frames that a clip of `record` shows, without colour jitter."""
  return np.round((video.mean(axis=(-3, -2, -1)) - 20) / 10).astype(int)


def first_samples(audio):
  return np.round(audio[:, 0, 0] * DURATION_SEC * SAMPLE_RATE_HZ).astype(int)


class ToyRecordsCase(test_base.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.data_dir = folder.name
    stored = [record(index, label=index % 3 if index != 4 else None) for index in range(12)]
    write(cls.data_dir, [stored[:5], stored[5:6], stored[6:]])

  def training(self, batch_size=4, seed=0, split="train", clip=CLIP, **more):
    more.setdefault("augmentation", datasets.Augmentation())
    return datasets.training_dataset(
      self.data_dir, split, clip, batch_size=batch_size, seed=seed, **more
    )

  def evaluation(self, batch_size=5, split="train", clip=CLIP, **more):
    return datasets.evaluation_dataset(self.data_dir, split, clip, batch_size, **more)

  def assert_same(self, a, b):
    self.assertEqual(set(a), set(b))
    for key in a:
      self.assertAllEqual(a[key], b[key])
