"""Reads the TensorBoard files of a run."""

import glob
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow.core.util import event_pb2


def summaries(tensorboard_dir: str) -> Iterator[tuple[int, str, np.ndarray]]:
  """(step, name, value) of each summary, in the order of files and summaries."""
  for path in sorted(glob.glob(os.path.join(tensorboard_dir, "events.*"))):
    for record in tf.data.TFRecordDataset(path):
      event = event_pb2.Event.FromString(record.numpy())
      for value in event.summary.value:
        yield event.step, value.tag, tf.make_ndarray(value.tensor)


def pictures(tensorboard_dir: str) -> Iterator[tuple[int, str, np.ndarray]]:
  """(step, name, uint8 `[H, W, 3]`) of each image, in the same order."""
  for step, name, value in summaries(tensorboard_dir):
    # Width, height, and each image of a batch as PNG.
    if value.dtype == object and value.ndim == 1 and len(value) == 3:
      yield step, name, tf.io.decode_png(value[2]).numpy()
