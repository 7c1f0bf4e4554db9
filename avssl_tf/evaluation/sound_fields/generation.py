"""How near the sound fields that a network generates are to the true ones, beside baselines."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Callable, ClassVar

import gin
import numpy as np

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.evaluation import output_folder
from avssl_tf.evaluation.clip_journal import ClipJournal
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.evaluation.protocol import Protocol
from avssl_tf.evaluation.results import Results
from avssl_tf.evaluation.sound_fields import sound_field_scores
from avssl_tf.evaluation.sound_fields.sound_field_baselines import (
  Clip,
  SpatialPrior,
  mean_weights,
  moments,
)
from avssl_tf.inference import generator
from avssl_tf.inference.generator import Generator
from avssl_tf.inference.trained import Trained
from avssl_tf.progress import Bar

TRAINED = "trained"


@gin.register
@dataclasses.dataclass(frozen=True)
class SpatialAudioEvaluation(Protocol):
  """Measures sound fields that a network generates of W and 360° frames, beside baselines.

  The parts of the results are the network, `"trained"`, other ones that are named, and baselines.
  `clips.csv` beside the results holds the same clip by clip.

  Metrics, each of all clips, of those where one source is heard, where several are, and where one
  of them moves by 10° or more, as in `one_error_db`: `error_db`, squared difference of the spectra
  over the energy of the true ones, 0 dB for silence; `strongest_deg`, angle between the directions
  of the loudest source; `within_20`, share of the clips all of whose sources are within 20°;
  `loudest_deg`, angle between the directions in which the fields are loudest; `map_correlation`, of
  energy maps; and those of the paper, `stft_distance`, `log_spectral_db`, `envelope_distance`,
  `mean_squared_error`, `signal_to_noise_db`, `emd_dir_distance`, `emd_dir2_distance`.

  Attributes:
    split: split, subset or slice that is measured.
    train_split: likewise, whose mean field is the spatial prior.
    windows_per_clip: evenly spaced windows of a clip.
    batch_size: windows that go through the network at a time.
    baselines: of `sound_field_baselines`.
    others: by the name that the table shows, folders of other runs or SavedModels that are measured
      on the same windows.
  """

  split: str = "test"
  train_split: str = "train"
  windows_per_clip: int = 1
  batch_size: int = 32
  baselines: Sequence[Callable] = ()
  others: Mapping[str, str] = dataclasses.field(default_factory=dict)

  compares_parts: ClassVar[bool] = True

  def __post_init__(self):
    frozen_features.check_counts(self, "windows_per_clip", "batch_size")
    names = [TRAINED, *self.others, *(baseline.name for baseline in self.baselines)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
      raise UserError(
        f"SpatialAudioEvaluation has several parts of the name {sorted(twice)[0]!r}; expected a "
        "name of its own for each of others, other than those of the baselines."
      )

  def subject(
    self, trained: Trained, others: Mapping[str, Trained]
  ) -> dict[str, Generator]:
    """The generators of all of them, that of `trained` under the name `TRAINED`."""
    networks = {TRAINED: trained, **others}
    return {name: network.generator for name, network in networks.items()}

  def __call__(
    self,
    generators: Mapping[str, Generator],
    data_dir: str,
    results: Results,
    work_dir: str,
    progress: bool = False,
  ) -> None:
    """Measures all clips of the split, unless `results` has them.

    Args:
      generators: by name, `TRAINED` and those of `others`.
      data_dir: folder of 360° records.
      results: where the metrics go.
      work_dir: folder for the clips that are measured, with which an interrupted evaluation goes
        on.
      progress: whether to show progress bars.

    Raises:
      MissingFileError: there is no data set, or files of it are missing.
      UserError: the networks are not of the same clips, or the records do not suit them.
    """
    parts = [*generators, *(baseline.name for baseline in self.baselines)]
    if all(results.get(part) is not None for part in parts):
      return
    clip, rate_hz = common_input(generators)
    info = DatasetInfo.load(data_dir)
    generator.check_records(info, data_dir)
    journal = ClipJournal(
      work_dir,
      results.settings,
      len(parts) * self.batch_size,
      (*sound_field_scores.FACTS, *sound_field_scores.METRICS),
    )
    prior = np.zeros(3)
    if any(isinstance(baseline, SpatialPrior) for baseline in self.baselines):
      prior = self._prior(data_dir, clip, progress)
    dataset = datasets.evaluation_dataset(
      data_dir, self.split, clip, self.batch_size, self.windows_per_clip
    )
    done = journal.num_blocks * self.batch_size
    total = info.num_clips(self.split) * self.windows_per_clip
    with Bar(
      f"fields of {self.split}", total, "clip", done=done, shown=progress, stays=True
    ) as bar:
      for batch in dataset.skip(journal.num_blocks):
        fields = {name: one.generate(batch).numpy() for name, one in generators.items()}
        block = []
        for number, target in enumerate(batch[keys.AUDIO].numpy()):
          tracks, channels = (batch[k][number].numpy() for k in (keys.SOURCES, keys.CHANNELS))
          facts = {
            "id": os.fsdecode(batch[keys.KEY][number].numpy()),
            "window": (done + number) % self.windows_per_clip,
          }
          found = {name: field[number] for name, field in fields.items()}
          given = Clip(target, tracks, rate_hz, prior)
          found.update((baseline.name, baseline(given)) for baseline in self.baselines)
          for method, field in found.items():
            values = {}
            if field is not None:
              values = sound_field_scores.measure(target, field, tracks, rate_hz, channels)
            block.append({**facts, "method": method, **values})
          bar.update()
        journal.add(block)
        done += len(batch[keys.AUDIO])
    folder = os.path.dirname(os.path.abspath(results.path))
    rows = journal.copy_to(os.path.join(folder, output_folder.CLIPS))
    for part in parts:
      of_part = [values for method, values in rows if method == part]
      # An oracle may know nothing of any clip.
      results.put(part, sound_field_scores.summarize(of_part) if any(of_part) else {})
    # Last: whoever is stopped before has all that is measured.
    journal.delete()

  def _prior(self, data_dir: str, clip: ClipSpec, progress: bool) -> np.ndarray:
    """The mean weights of Y, Z and X in the training set."""
    dataset = datasets.evaluation_dataset(data_dir, self.train_split, clip, self.batch_size)
    total = np.zeros(4)
    title = f"mean field of {self.train_split}"
    for batch in Bar(title, unit="batch", items=dataset, shown=progress):
      total += np.sum([moments(field) for field in batch[keys.AUDIO].numpy()], axis=0)
    return mean_weights(total)


def common_input(generators: Mapping[str, Generator]) -> tuple[ClipSpec, float]:
  """What of a clip several networks take, and the rate of its sound.

  Raises:
    UserError: they do not take the same.
  """
  # Sound of any rate has to be brought to that of the network; offsets are of training.
  taken = {
    name: dataclasses.replace(one.clip, sample_rate_hz=one.sample_rate_hz, max_offset_sec=0.0)
    for name, one in generators.items()
  }
  (first, clip), *others = taken.items()
  for name, other in others:
    if other != clip:
      raise UserError(
        f"The networks {first!r} and {name!r} take different clips: {clip} and {other}. Compare "
        "networks that were trained on the same ones."
      )
  return clip, clip.sample_rate_hz
