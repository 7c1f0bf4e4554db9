"""A trained generator of sound fields with its input specification."""

import dataclasses
from typing import Callable

from avssl_tf import keys
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor


@dataclasses.dataclass(frozen=True)
class Generator:
  """A frozen network that generates sound fields, from a run or a SavedModel.

  Attributes:
    clip: specification of the 360° clips that the network was trained on.
    sample_rate_hz: sample rate of the audio.
    generate: maps a batch with the frames of 360° clips, `VIDEO`, and their audio, `AUDIO`, float32
      `[B, samples, channels]`, to the sound field, float32 `[B, samples, 4]`, channels W Y Z X.
      Reads only the first audio channel, W. Works eagerly and inside `tf.function`.
  """

  clip: ClipSpec
  sample_rate_hz: int
  generate: Callable[[keys.Batch], Tensor]


def check_records(info: DatasetInfo, data_dir: str) -> None:
  """Raises a `UserError` unless records contain 360° frames and first-order ambisonics."""
  if info.projection is None or info.num_channels != 4:
    raise UserError(
      f"The records in {data_dir!r} have {info.num_channels} audio channels and the projection "
      f"{info.projection}; expected 360° clips with first-order ambisonics, such as those of "
      "tools/make_tfrecords.py --source=demo360."
    )
