"""Linear support vector machines on the feature maps of each stage of a frozen audio network.

The protocol of Morgado, Vasconcelos, Misra ("Audio-Visual Instance Discrimination with Cross-Modal
Agreement", CVPR 2021) for sound recognition on ESC-50 and DCASE, with one difference: test window i
of n starts at i / n of the recording, whereas theirs include its beginning twice.
"""

import dataclasses
import os
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Optional

import gin
import numpy as np
from absl import logging
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.data.records import dataset_info
from avssl_tf.errors import UserError
from avssl_tf.evaluation.audio_svm import sound_sets, stage_features
from avssl_tf.evaluation.protocol import Protocol
from avssl_tf.evaluation.results import Results
from avssl_tf.inference import audio_windows
from avssl_tf.inference.encoder import Encoder
from avssl_tf.progress import Bar

_STD_FLOOR = 0.01
_COLUMNS_AT_A_TIME = 512


@gin.register
@dataclasses.dataclass(frozen=True)
class AudioSVM(Protocol):
  """Classifies recordings by one-vs-rest linear SVMs on the features of each stage.

  Recordings are read from records, or directly from the files of ESC-50 or DCASE. Windows have the
  length and sample rate of the network's training clips; at the end of a recording they wrap
  around. Training windows are random, with random speed and volume; test windows are evenly spaced.
  The decision values of the windows of a recording are averaged.

  Metrics of a fold: `conv2x_top1` ..., the accuracy of each stage in 0..1.

  Attributes:
    num_windows: windows of a recording, in training and testing.
    c: weight of the hinge loss of a window relative to half the squared weights.
    sizes: by stage, the size (time, frequency) to which its map is averaged; a dimension in which a
      map is smaller is not averaged.
    speed: lower and upper bound of the speed factor of training windows.
    volume: lower and upper bound of their volume factor.
    folds: pairs of training and test selections; None uses the folds of the data, see
      `sound_sets.find_parts`.
    num_folds: required number of folds; None accepts any.
    max_failure_rate: maximum fraction of recordings that may be unreadable; these are skipped.
    batch_size: windows per forward pass.
    tolerance: stopping tolerance of the fit, in units of the margin: `tol` of scikit-learn's
      `LinearSVC`.
    max_passes: maximum number of its passes over the windows.
    seed: seed of the windows and of the order in which the fit visits them.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021.
  """

  num_windows: int = 10
  c: float = 10.0
  sizes: Mapping[str, Sequence[int]] = dataclasses.field(
    default_factory=lambda: {
      "conv2x": (12, 12),
      "conv3x": (8, 8),
      "conv4x": (6, 6),
      "conv5x": (4, 4),
    }
  )
  speed: Sequence[float] = (3 / 4, 4 / 3)
  volume: Sequence[float] = (0.9, 1.1)
  folds: Optional[Sequence[Sequence[str]]] = None
  num_folds: Optional[int] = None
  max_failure_rate: float = 0.0
  batch_size: int = 64
  tolerance: float = 0.1
  max_passes: int = 200
  seed: int = 0

  def __post_init__(self):
    for name in ("num_windows", "batch_size", "max_passes"):
      if getattr(self, name) < 1:
        raise UserError(f"AudioSVM.{name} is {getattr(self, name)}; expected 1 or more.")
    for name in ("speed", "volume"):
      bounds = tuple(getattr(self, name))
      if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
        raise UserError(f"AudioSVM.{name} is {bounds}; expected (low, high), 0 < low <= high.")
    if not 0 <= self.max_failure_rate < 1:
      raise UserError(
        f"AudioSVM.max_failure_rate is {self.max_failure_rate}; expected 0 or more, less than 1."
      )
    if not self.c > 0 or not self.tolerance > 0:
      raise UserError(
        f"AudioSVM.c is {self.c} and tolerance is {self.tolerance}; expected more than 0."
      )

  def __call__(
    self,
    encoder: Encoder,
    data_dir: str,
    results: Results,
    work_dir: str,
    progress: bool = False,
  ) -> None:
    """Evaluates the folds that `results` lacks.

    Args:
      encoder: the frozen network.
      data_dir: folder of records, or of the files of ESC-50 or DCASE.
      results: receives the metrics of each fold.
      work_dir: folder for the features, which are removed at the end.
      progress: whether to show progress bars.

    Raises:
      MissingFileError: no such folder, or files of records are missing.
      UserError: the folder contains no known data set, folds or labels are missing, or too many
        files cannot be read.
    """
    sounds = self._open(encoder, data_dir)
    parts = [part for part in sounds.parts if results.get(part.name) is None]
    if not parts:
      return
    network = stage_features.StageNetwork(encoder, self.sizes, self.batch_size)
    store = stage_features.FeatureStore(
      os.path.join(work_dir, stage_features.FOLDER), self._key(encoder, sounds), network.fingerprint
    )
    numbers = {
      side: np.unique(np.concatenate([getattr(part, side) for part in sounds.parts]))
      for side in ("train", "test")
    }
    self._extract(store, network, encoder.sample_rate_hz, sounds, numbers, progress)
    total = len(parts) * len(self.sizes)
    with Bar("classifiers", total, "classifier", shown=progress, stays=True) as bar:
      for part in parts:
        metrics = {}
        for stage in self.sizes:
          metrics[f"{stage}_top1"] = self._accuracy(store, stage, sounds.labels, part, numbers)
          bar.update()
        if store.failures:
          members = np.union1d(part.train, part.test)
          metrics["num_unreadable"] = int(np.isin(list(store.failures), members).sum())
        results.put(part.name, metrics)
    store.remove()

  def _open(self, encoder: Encoder, data_dir: str) -> sound_sets.SoundSet:
    """Opens the recordings and checks folds, labels and files."""
    rate_hz, num_channels = encoder.sample_rate_hz, encoder.num_channels
    if os.path.exists(os.path.join(data_dir, dataset_info.FILE_NAME)):
      sounds = sound_sets.of_records(data_dir, rate_hz, num_channels, self.folds)
    else:
      listing = sound_sets.list_files(data_dir)
      for note in listing.notes:
        logging.info("%s", note)
      sounds = sound_sets.of_files(listing, rate_hz, num_channels, self.folds)
    if self.num_folds not in (None, len(sounds.parts)):
      raise UserError(
        f"{data_dir!r} has {len(sounds.parts)} folds; expected {self.num_folds} "
        "(AudioSVM.num_folds). Check that its file list is complete."
      )
    most = self._most_failures(sounds)
    if len(sounds.missing) > most:
      names = "\n".join(f"  {sounds.ids[number]}" for number in sounds.missing[:20])
      raise UserError(
        f"{len(sounds.missing)} of the {len(sounds.ids)} files listed in {data_dir!r} are missing, "
        f"more than the {most} that AudioSVM.max_failure_rate allows:\n{names}"
      )
    return sounds

  def _most_failures(self, sounds: sound_sets.SoundSet) -> int:
    return int(self.max_failure_rate * len(sounds.ids))

  def _key(self, encoder: Encoder, sounds: sound_sets.SoundSet) -> dict:
    """The values, apart from the network, that the features depend on."""
    return {
      "num_windows": self.num_windows,
      "num_samples": encoder.clip.num_samples(encoder.sample_rate_hz),
      "sample_rate_hz": encoder.sample_rate_hz,
      "num_channels": encoder.num_channels,
      "sizes": {name: list(size) for name, size in self.sizes.items()},
      "speed": list(self.speed),
      "volume": list(self.volume),
      "seed": self.seed,
      "ids": zlib.crc32("\n".join(sounds.ids).encode("utf-8", "surrogateescape")),
      "parts": zlib.crc32(b"".join(p.train.tobytes() + p.test.tobytes() for p in sounds.parts)),
    }

  def _extract(
    self,
    store: stage_features.FeatureStore,
    network: stage_features.StageNetwork,
    sample_rate_hz: int,
    sounds: sound_sets.SoundSet,
    numbers: Mapping[str, np.ndarray],
    progress: bool,
  ) -> None:
    """Computes the features that the store lacks; logs unreadable recordings."""

    def read(number: int) -> np.ndarray:
      try:
        return sounds.read(number)
      except MediaError as error:
        raise MediaError(f"{sounds.ids[number]}: {error}") from error

    def random_windows(number: int) -> np.ndarray:
      # Seeded by name, so the windows of a recording do not depend on other recordings.
      name = zlib.crc32(sounds.ids[number].encode("utf-8", "surrogateescape"))
      rng = np.random.default_rng([self.seed, name])
      return audio_windows.augmented(
        read(number), network.num_samples, self.num_windows, sample_rate_hz,
        self.speed, self.volume, rng,
      )  # fmt: skip

    def even_windows(number: int) -> np.ndarray:
      return audio_windows.even(read(number), network.num_samples, self.num_windows)

    for side, windows_of in (("train", random_windows), ("test", even_windows)):
      most = self._most_failures(sounds)
      store.extract(side, numbers[side], windows_of, network, self.num_windows, most, progress)
    for reason in store.failures.values():
      logging.warning("Skipped: %s", reason)

  def _accuracy(
    self,
    store: stage_features.FeatureStore,
    stage: str,
    labels: np.ndarray,
    part: sound_sets.Part,
    numbers: Mapping[str, np.ndarray],
  ) -> float:
    """Accuracy in 0..1 of the classifiers on a stage, over the test recordings of a fold."""
    features, found = store.read("train", stage, numbers["train"], part.train, self.num_windows)
    mean, scale = standardisation(features)
    features -= mean
    features /= scale
    svm = LinearSVC(
      C=self.c,
      loss="hinge",
      tol=self.tolerance,
      max_iter=self.max_passes,
      random_state=self.seed,
    )
    with warnings.catch_warnings(record=True) as caught:
      warnings.simplefilter("always", ConvergenceWarning)
      svm.fit(features, np.repeat(labels[found], self.num_windows))
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
      logging.warning(
        "%s, %s: the classifiers did not converge in %d passes (AudioSVM.max_passes).",
        part.name, stage, self.max_passes,
      )  # fmt: skip
    del features  # Frees the memory before the test features are read.
    tested, found = store.read("test", stage, numbers["test"], part.test, self.num_windows)
    tested -= mean
    tested /= scale
    values = svm.decision_function(tested)
    if values.ndim == 1:  # For two classes scikit-learn returns only the score of the second.
      values = np.stack([-values, values], axis=1)
    values = values.reshape(len(found), self.num_windows, -1).mean(axis=1)
    return float(np.mean(svm.classes_[values.argmax(axis=1)] == labels[found]))


def standardisation(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean and scale of each column, for standardisation by (x - mean) / scale.

  Args:
    features: float32 `[N, D]`.

  Returns:
    float32 `[D]` each; the scale is the standard deviation plus 0.01, which avoids amplifying
    columns with little variation.
  """
  mean, scale = (np.empty(features.shape[1], np.float32) for _ in range(2))
  for begin in range(0, features.shape[1], _COLUMNS_AT_A_TIME):
    columns = slice(begin, begin + _COLUMNS_AT_A_TIME)
    block = features[:, columns].astype(np.float64)
    mean[columns], scale[columns] = block.mean(axis=0), block.std(axis=0) + _STD_FLOOR
  return mean, scale
