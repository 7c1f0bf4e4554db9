"""The probe of a run that trains a generator of sound fields."""

import dataclasses
import os
from typing import Optional, Union

import gin
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.building.demo import DemoData
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation.sound_fields import sound_field_scores
from avssl_tf.inference import generator
from avssl_tf.models.spatialization.spatial_unet import SpatialUNet
from avssl_tf.progress import Bar


@gin.register
@dataclasses.dataclass(frozen=True)
class GenerationProbe:
  """Evaluates a generator of sound fields during training.

  Attributes:
    data_dir: folder of other 360° records to evaluate on; None uses the records of the run.
    test_split: split, subset or slice to evaluate.
    batch_size: clips per forward pass.
  """

  data_dir: Optional[Union[str, DemoData]] = None
  test_split: str = "test"
  batch_size: int = 32

  def __call__(
    self, model: SpatialUNet, data_dir: str, clip: ClipSpec, progress: bool = False
  ) -> dict[str, float]:
    """Generates and evaluates the fields of the split.

    Args:
      model: the network, with its variables built.
      data_dir: folder of 360° records; ignored if the probe has its own `data_dir`.
      clip: specification of the model's input clips.
      progress: whether to show a progress bar.

    Returns:
      The means of `summarize`, by names such as `probe/one_error_db`, without the metrics of the
      paper.
    """
    data_dir = data_dir if self.data_dir is None else os.fspath(self.data_dir)
    generator.check_records(DatasetInfo.load(data_dir), data_dir)
    generate = tf.function(model.generate)
    dataset = datasets.evaluation_dataset(data_dir, self.test_split, clip, self.batch_size)
    rows = []
    title = f"fields of {self.test_split}"
    for batch in Bar(title, unit="batch", items=dataset, shown=progress):
      rows += [
        sound_field_scores.measure(
          target, field, tracks, model.sample_rate_hz, channels, published=False
        )
        for target, field, tracks, channels in zip(
          batch[keys.AUDIO].numpy(),
          generate(batch).numpy(),
          batch[keys.SOURCES].numpy(),
          batch[keys.CHANNELS].numpy(),
        )
      ]
    found = sound_field_scores.summarize(rows)
    return {f"probe/{name}": value for name, value in found.items() if not name.startswith("num_")}
