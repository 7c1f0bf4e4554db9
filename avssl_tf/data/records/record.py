"""Parses a serialised record."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.records import schema
from avssl_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Record:
  """A parsed record.

  Attributes:
    frames: JPEG bytes of each frame; empty without video.
    timestamps_us: int64, one per frame.
    height: height of the frames in pixels; 0 without video.
    width: width of the frames in pixels; 0 without video.
    frame_rate_hz: rate of the frames; 0 without video.
    waveform: float32 `[samples, channels]`; `None` without audio.
    sample_rate_hz: sample rate of the waveform; 0 without audio.
    num_samples: number of samples that the record states; 0 without audio.
    labels: class names.
    label_indexes: class indices.
    example_id: id of the clip.
    index: `clip/index`.
    boxes: float32 `[T, 4]` or `None`.
    flow: JPEG bytes of the optical flow images; empty without flow.
  """

  frames: list[bytes]
  timestamps_us: np.ndarray
  height: int
  width: int
  frame_rate_hz: float
  waveform: Optional[np.ndarray]
  sample_rate_hz: float
  num_samples: int
  labels: list[str]
  label_indexes: list[int]
  example_id: str
  index: int
  boxes: Optional[np.ndarray]
  flow: list[bytes] = dataclasses.field(default_factory=list)

  @property
  def duration_sec(self) -> float:
    """Duration of the audio, or of the frames if there is no audio."""
    if self.waveform is not None:
      return len(self.waveform) / self.sample_rate_hz
    return len(self.frames) / self.frame_rate_hz

  @classmethod
  def parse(cls, serialized: bytes, modalities: Sequence[str] = keys.MODALITIES) -> "Record":
    """Parses a serialised record.

    Args:
      serialized: the record.
      modalities: required modalities: "video", "audio", or both.

    Raises:
      UserError: a required feature is missing or empty.
    """
    example = tf.train.SequenceExample.FromString(serialized)
    context, lists = example.context.feature, example.feature_lists.feature_list
    try:
      boxes = [
        [step.float_list.value[0] for step in lists[key].feature]
        for key in schema.BBOX_KEYS
        if key in lists
      ]
      seen, heard = keys.VIDEO in modalities, keys.AUDIO in modalities
      return cls(
        frames=[step.bytes_list.value[0] for step in lists[schema.IMAGE_ENCODED].feature],
        timestamps_us=np.array(
          [step.int64_list.value[0] for step in lists[schema.IMAGE_TIMESTAMP].feature], np.int64
        ),
        height=context[schema.IMAGE_HEIGHT].int64_list.value[0] if seen else 0,
        width=context[schema.IMAGE_WIDTH].int64_list.value[0] if seen else 0,
        frame_rate_hz=context[schema.IMAGE_FRAME_RATE].float_list.value[0] if seen else 0.0,
        waveform=_waveform(context, lists) if heard else None,
        sample_rate_hz=context[schema.SAMPLE_RATE].float_list.value[0] if heard else 0.0,
        num_samples=context[schema.NUM_SAMPLES].int64_list.value[0] if heard else 0,
        labels=[os.fsdecode(text) for text in context[schema.LABEL_TEXT].bytes_list.value],
        label_indexes=list(context[schema.LABEL_INDEX].int64_list.value),
        example_id=os.fsdecode(context[schema.EXAMPLE_ID].bytes_list.value[0]),
        index=context[schema.CLIP_INDEX].int64_list.value[0],
        boxes=np.array(boxes, np.float32).T if boxes else None,
        flow=[step.bytes_list.value[0] for step in lists[schema.FLOW_ENCODED].feature],
      )
    except (IndexError, ValueError) as error:
      raise UserError(f"a feature of the schema is missing or empty ({error})") from error


def _waveform(context, lists) -> np.ndarray:
  samples = np.array(lists[schema.WAVEFORM].feature[0].float_list.value, np.float32)
  return samples.reshape(-1, context[schema.NUM_CHANNELS].int64_list.value[0])
