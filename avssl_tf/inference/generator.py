"""A trained generator of sound fields and what it takes: what is measured and applied."""

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
    clip: what of a 360° clip the network was trained on.
    sample_rate_hz: rate of the sound.
    generate: a batch with the frames of 360° clips, `VIDEO`, and their sound, `AUDIO`, float32
      `[B, samples, channels]`, of which the first channel, W, is looked at -> the field, float32
      `[B, samples, 4]`, W Y Z X. Works eagerly and inside `tf.function`.
  """

  clip: ClipSpec
  sample_rate_hz: int
  generate: Callable[[keys.Batch], Tensor]


def check_records(info: DatasetInfo, data_dir: str) -> None:
  """Raises a `UserError` unless records hold sound fields of the first order with 360° frames."""
  if info.projection is None or info.num_channels != 4:
    raise UserError(
      f"The records in {data_dir!r} have {info.num_channels} channels of sound and the projection "
      f"{info.projection}; expected 360° clips with first-order ambisonics, such as "
      "tools/make_tfrecords.py --source=demo360 builds."
    )
