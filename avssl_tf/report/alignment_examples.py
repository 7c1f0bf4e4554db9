"""360° clips with the similarities of their views and audio according to a network."""

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets, frame_ops
from avssl_tf.data.records.record_reader import RecordReader
from avssl_tf.inference.encoder import Encoder
from avssl_tf.report.drawings.alignment_picture import AlignedClip
from avssl_tf.spatial import ambisonics

_ENERGY_HEIGHT = 60


def clips(encoder: Encoder, data_dir: str, split: str, count: int) -> list[AlignedClip]:
  """Selects clips of a split as `evaluation_dataset` does, and prepares them for drawing.

  Args:
    encoder: encoder of a network trained on views of 360° clips.
    data_dir: folder of 360° records.
    split: split, or slice of a split.
    count: maximum number of clips.
  """
  dataset = datasets.evaluation_dataset(data_dir, split, encoder.clip, 1, max_records=count)
  reader = RecordReader(data_dir, split)
  found = []
  for batch in dataset:
    stored = reader.read(batch[keys.INDEX][0])
    middle = len(stored.frames) // 2
    features = {
      keys.VIDEO: encoder.embed_video(batch[keys.VIDEO][0])["features"][tf.newaxis],
      keys.AUDIO: encoder.embed_audio(batch[keys.AUDIO][0])["features"][tf.newaxis],
    }
    outputs = encoder.translate(features)
    predicted, targets = (outputs[kind][keys.AUDIO][0] for kind in ("prediction", "target"))
    truth = stored.truth
    known = truth is not None and len(truth.azimuth_rad) > middle
    places = [truth.azimuth_rad[middle], truth.elevation_rad[middle]] if known else None
    energy = ambisonics.energy_map(stored.waveform, _ENERGY_HEIGHT, 2 * _ENERGY_HEIGHT)
    found.append(
      AlignedClip(
        title=batch[keys.KEY].numpy()[0].decode("utf-8", "replace"),
        frame=frame_ops.decode_jpeg(stored.frames[middle]).numpy(),
        energy=energy.numpy(),
        views=batch[keys.VIDEO][0, :, encoder.clip.num_frames // 2].numpy(),
        direction_rad=batch[keys.DIRECTION][0].numpy(),
        field_of_view_rad=batch[keys.FIELD_OF_VIEW][0].numpy(),
        similarity=tf.matmul(predicted, targets, transpose_b=True).numpy(),
        objects_rad=np.stack(places, axis=-1) if known else None,
        is_sounding=truth.is_sounding.numpy() if known else None,
      )
    )
  return found
