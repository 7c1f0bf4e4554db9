"""Features of audio windows from each stage of a frozen network, stored in files.

All features together do not fit in memory: for 2,000 recordings with 10 windows, the maps of one
stage, pooled to about 9,000 values, take 740 MB in float32; 4 stages of training and test windows
take 2.8 GB on disk in half precision. Features are computed in chunks of one file each, so an
interrupted extraction can resume, and are read one stage at a time.
"""

import concurrent.futures
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable

import numpy as np
import tensorflow as tf
from absl import logging

from avssl_tf import arrays, own_files
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.errors import UserError
from avssl_tf.evaluation.adaptive_pooling import adaptive_pool
from avssl_tf.files import as_json, read_json, whole_file
from avssl_tf.inference.encoder import Encoder
from avssl_tf.progress import Bar

# With 48,000 samples per window, a chunk takes 123 MB.
_WINDOWS_PER_CHUNK = 640
_LARGEST = float(np.finfo(np.float16).max)
# Interval of progress lines in a log.
LOG_INTERVAL_SEC = 10.0
FOLDER = "features"
# Possible contents of that folder.
TREE: own_files.Tree = {r"key\.json": None, r"\w+-\d{5}\.npz": None}


class StageNetwork:
  """The pooled and flattened maps of the stages of an encoder's audio network.

  Attributes:
    num_samples: samples of a window.
    sizes: by stage, the size (time, frequency) to which its map is pooled; a dimension in which a
      map is smaller is not pooled.
  """

  def __init__(self, encoder: Encoder, sizes: Mapping[str, Sequence[int]], batch_size: int):
    """Compiles the network.

    Raises:
      UserError: `sizes` contains a stage that the network lacks, or is empty.
    """
    self.num_samples = encoder.clip.num_samples(encoder.sample_rate_hz)
    self.sizes = {name: tuple(size) for name, size in sizes.items()}
    self._batch_size = batch_size
    shape = [None, self.num_samples, encoder.num_channels]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    def features(waveform):
      maps = encoder.audio_maps(waveform)
      unknown = sorted(set(self.sizes) - set(maps))
      if unknown or not self.sizes:
        raise UserError(
          f"AudioSVM.sizes names the stages {sorted(self.sizes)}; expected some of {sorted(maps)}."
        )
      result = {}
      for name, size in self.sizes.items():
        clipped = [min(most, found) for most, found in zip(size, maps[name].shape[1:3])]
        pooled = adaptive_pool(maps[name], clipped, tf.reduce_mean)
        result[name] = tf.reshape(pooled, [-1, int(np.prod(pooled.shape[1:]))])
      return {name: tf.cast(value, tf.float32) for name, value in result.items()}

    self._features = features
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.1, 0.1, [1, *shape[1:]]).astype(np.float32)
    # Identifies the network: mean and standard deviation of each stage for fixed noise.
    self.fingerprint = {
      name: [float(values.mean()), float(values.std())] for name, values in self(noise).items()
    }

  def __call__(self, windows: np.ndarray) -> dict[str, np.ndarray]:
    """Maps windows, float32 `[N, num_samples, C]`, to features by stage, float32 `[N, D]`."""
    batches = []
    for begin in range(0, len(windows), self._batch_size):
      batch = self._features(windows[begin : begin + self._batch_size])
      batches.append({name: value.numpy() for name, value in batch.items()})
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


class FeatureStore:
  """Features of audio windows, stored in files of a folder.

  Attributes:
    failures: reason for each recording that could not be read, by index.
  """

  def __init__(self, folder: str, key: Mapping[str, Any], fingerprint: Mapping[str, list[float]]):
    """Opens a folder and removes files of other settings or of another network.

    Args:
      folder: created if missing.
      key: JSON-serialisable values, apart from the network, that the features depend on.
      fingerprint: identifies the network; see `StageNetwork`.

    Raises:
      ForeignFilesError: the folder contains other files; nothing was removed.
    """
    self._folder = folder
    self.failures: dict[int, str] = {}
    path = os.path.join(folder, "key.json")
    key = as_json(key)
    if os.path.isdir(folder) and not _is_same(path, key, fingerprint):
      logging.info("%s contains features of other settings: they are recomputed.", folder)
      self.remove()
    os.makedirs(folder, exist_ok=True)
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
      json.dump({"key": key, "fingerprint": dict(fingerprint)}, f)

  def extract(
    self,
    title: str,
    numbers: np.ndarray,
    windows_of: Callable[[int], np.ndarray],
    network: StageNetwork,
    num_windows: int,
    most_failures: int,
    progress: bool = False,
  ) -> None:
    """Computes missing features of recordings.

    Args:
      title: name of this kind of windows, used in file names.
      numbers: int64 `[N]`, indices of the recordings, the same in each call for a title.
      windows_of: returns the windows of a recording, float32 `[num_windows, num_samples, C]`;
        raises MediaError if it cannot be read. Called from several threads.
      network: computes their features.
      num_windows: windows of a recording.
      most_failures: maximum number of unreadable recordings.
      progress: whether to show a progress bar.

    Raises:
      UserError: more recordings cannot be read, or features exceed the range of half precision.
    """
    chunks = list(_chunks(numbers, num_windows))
    bar = Bar(f"{title} features", len(numbers), "recording", shown=progress, stays=True)
    with bar, concurrent.futures.ThreadPoolExecutor() as executor:
      for number, chunk in enumerate(chunks):
        path = self._path(title, number)
        # Unreadable files may have been repaired in the meantime: their chunk is recomputed.
        if not _is_whole(path):
          self._write(path, chunk, executor.map(_or_reason(windows_of), chunk), network)
        with arrays.open_npz(path) as content:
          self.failures.update(zip(content["failed"].tolist(), content["reasons"].tolist()))
        if len(self.failures) > most_failures:
          raise UserError(self._too_many(most_failures))
        bar.update(len(chunk))

  def read(
    self, title: str, stage: str, numbers: np.ndarray, wanted: np.ndarray, num_windows: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Reads the features of a stage.

    Args:
      title: as in `extract`.
      stage: name of the stage.
      numbers: as in `extract`.
      wanted: int64 `[M]`, indices of the recordings to read, increasing.
      num_windows: as in `extract`.

    Returns:
      float32 `[M' * num_windows, D]`, the windows of each recording in consecutive rows, and int64
      `[M']`, the indices of the M' recordings that were readable.
    """
    found = wanted[~np.isin(wanted, list(self.failures))]
    rows, begin = None, 0
    for number, _ in enumerate(_chunks(numbers, num_windows)):
      path = self._path(title, number)
      chosen = np.isin(_load(path, "numbers"), found)
      if not chosen.any():
        continue
      part = _load(path, stage)[chosen]
      part = part.reshape(-1, part.shape[-1])
      if rows is None:
        rows = np.empty([len(found) * num_windows, part.shape[1]], np.float32)
      rows[begin : begin + len(part)] = part
      begin += len(part)
    if rows is None:
      raise UserError(f"None of the {len(wanted)} {title} recordings could be read.")
    return rows, found

  def remove(self) -> None:
    """Removes the files."""
    own_files.delete(self._folder, TREE, "Move it away, or choose another --output_dir.")

  def _path(self, title: str, chunk: int) -> str:
    return os.path.join(self._folder, f"{title}-{chunk:05d}.npz")

  def _write(self, path: str, chunk: np.ndarray, results: Iterator, network: StageNetwork) -> None:
    windows, numbers, failed, reasons = [], [], [], []
    for number, result in zip(chunk, results):
      if isinstance(result, str):
        failed.append(number)
        reasons.append(result)
      else:
        numbers.append(number)
        windows.append(result)
    content = {}
    if windows:
      for stage, rows in network(np.concatenate(windows)).items():
        # The comparison is also False for NaN.
        if not np.abs(rows).max() <= _LARGEST:
          raise UserError(
            f"Features of {stage} are not finite or exceed {_LARGEST:g} in magnitude: check that "
            "training converged."
          )
        content[stage] = rows.reshape(len(windows), -1, rows.shape[1]).astype(np.float16)
    content["numbers"] = np.array(numbers, np.int64)
    content["failed"] = np.array(failed, np.int64)
    content["reasons"] = np.array(reasons, str)
    with whole_file(path) as temporary:
      arrays.save(temporary, content)

  def _too_many(self, most_failures: int) -> str:
    lines = [f"  {reason}" for reason in list(self.failures.values())[:20]]
    return (
      f"{len(self.failures)} recordings could not be read so far, more than the {most_failures} "
      "that AudioSVM.max_failure_rate allows:\n"
      + "\n".join(lines)
      + "\nRepair or replace these files and rerun the command; computed features are kept."
    )


def _or_reason(windows_of: Callable[[int], np.ndarray]) -> Callable:
  """Wraps `windows_of` to return the reason for a failure instead of raising MediaError."""

  def call(number: int):
    try:
      return windows_of(int(number))
    except MediaError as error:
      return str(error)

  return call


def _chunks(numbers: np.ndarray, num_windows: int) -> Iterator[np.ndarray]:
  size = max(1, _WINDOWS_PER_CHUNK // num_windows)
  for begin in range(0, len(numbers), size):
    yield numbers[begin : begin + size]


def _load(path: str, name: str) -> np.ndarray:
  with arrays.open_npz(path) as content:
    return content[name]


def _is_whole(path: str) -> bool:
  """Whether a chunk exists, is readable, and lacks none of its recordings."""
  try:
    with arrays.open_npz(path) as content:
      return not len(content["failed"]) and all(content[name] is not None for name in content.names)
  except FileNotFoundError:
    return False
  except arrays.ArraysError as error:
    logging.warning("Recomputing features: %s", error)
    return False


def _is_same(path: str, key: Mapping[str, Any], fingerprint: Mapping[str, list[float]]) -> bool:
  """Whether the features in the folder of `path` have this key and fingerprint."""
  try:
    content = read_json(path)
    found = content["fingerprint"]
    # Sums may differ in the last digits with the number of threads.
    return (
      content["key"] == key
      and set(found) == set(fingerprint)
      and all(np.allclose(found[name], fingerprint[name], rtol=1e-3) for name in found)
    )
  except (FileNotFoundError, KeyError, TypeError, ValueError):  # Foreign or damaged.
    return False
