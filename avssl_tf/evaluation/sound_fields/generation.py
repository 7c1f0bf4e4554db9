"""Evaluation of generated sound fields, compared with baselines."""

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
  """Evaluates sound fields generated from W and 360° frames, and compares them with baselines.

  The parts of the results are the network, `"trained"`, the networks in `others`, and the
  baselines. `clips.csv`, next to the results, contains the metrics of single clips.

  Each metric is computed over all clips (`all_`), clips with one audible source (`one_`), with
  several (`several_`), and with a source that moves by 10° or more (`moving_`), as in
  `one_error_db`:

  - `error_db`: squared difference of the spectra relative to the energy of the true spectra, in dB;
    0 dB for silence.
  - `strongest_deg`: angle between the true and generated directions of the loudest source.
  - `within_20`: fraction of clips with an angle of at most 20° for all sources.
  - `loudest_deg`: angle between the directions of maximum energy of both fields.
  - `map_correlation`: correlation of the energy maps.
  - Metrics of the paper: `stft_distance`, `log_spectral_db`, `envelope_distance`,
    `mean_squared_error`, `signal_to_noise_db`, `emd_dir_distance`, `emd_dir2_distance`.

  Attributes:
    split: split, subset or slice to evaluate.
    train_split: split, subset or slice whose mean field is the spatial prior.
    windows_per_clip: evenly spaced windows of a clip.
    batch_size: windows per forward pass.
    baselines: baselines from `sound_field_baselines`.
    others: folders of other runs or SavedModels to evaluate on the same windows, by name in the
      table of results.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
    Video", NeurIPS 2018, section 5; the other metrics are of this project.
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
        f"SpatialAudioEvaluation has several parts named {sorted(twice)[0]!r}; expected unique "
        "names in others, different from those of the baselines."
      )

  def subject(
    self, trained: Trained, others: Mapping[str, Trained]
  ) -> dict[str, Generator]:
    """The generators of all networks by name, that of `trained` under `TRAINED`."""
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
    """Evaluates all clips of the split, unless `results` contains them.

    Args:
      generators: by name, `TRAINED` and those of `others`.
      data_dir: folder of 360° records.
      results: receives the metrics.
      work_dir: folder for intermediate results, used to resume an interrupted evaluation.
      progress: whether to show progress bars.

    Raises:
      MissingFileError: there is no data set, or some of its files are missing.
      UserError: the networks take different clips, or the records do not fit them.
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
      # An oracle may lack the ground truth of all clips.
      results.put(part, sound_field_scores.summarize(of_part) if any(of_part) else {})
    # Deleted last, so that an evaluation stopped earlier can resume.
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
  """The common clip specification of several networks, and its sample rate.

  Raises:
    UserError: the networks take different clips.
  """
  # Audio is resampled to the rate of the network; offsets apply to training only.
  taken = {
    name: dataclasses.replace(one.clip, sample_rate_hz=one.sample_rate_hz, max_offset_sec=0.0)
    for name, one in generators.items()
  }
  (first, clip), *others = taken.items()
  for name, other in others:
    if other != clip:
      raise UserError(
        f"The networks {first!r} and {name!r} take different clips: {clip} and {other}. Compare "
        "networks that were trained on the same clips."
      )
  return clip, clip.sample_rate_hz
