"""Features of windows of sounds from each stage of a frozen network, kept in files.

Too many for memory at once: of 2,000 sounds with 10 windows, the maps of one stage pooled to 9
thousand values take 740 MB in float32, and 4 stages of windows for training and for testing 2.8 GB
on disk in half precision. They are computed in chunks, each of them a file, so that an
interrupted extraction goes on; and read a stage at a time.
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

# Of one chunk; 48,000 samples each take 123 MB.
_WINDOWS_PER_CHUNK = 640
_LARGEST = float(np.finfo(np.float16).max)
# Between two states of a bar in a log, which keeps them all.
LOG_INTERVAL_SEC = 10.0
FOLDER = "features"
# What that folder holds.
TREE: own_files.Tree = {r"key\.json": None, r"\w+-\d{5}\.npz": None}


class StageNetwork:
  """The pooled and flattened maps of the stages of an encoder's audio network.

  Attributes:
    num_samples: samples of a window.
    sizes: by stage, the size (time, frequency) that its map is pooled to; a map that is smaller
      in a dimension stays as it is there.
  """

  def __init__(self, encoder: Encoder, sizes: Mapping[str, Sequence[int]], batch_size: int):
    """Compiles the network.

    Raises:
      UserError: `sizes` names a stage that the network lacks, or none.
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
    # Tells networks apart: mean and spread of what each stage makes of the same noise.
    self.fingerprint = {
      name: [float(values.mean()), float(values.std())] for name, values in self(noise).items()
    }

  def __call__(self, windows: np.ndarray) -> dict[str, np.ndarray]:
    """float32 `[N, D]` by stage of windows, float32 `[N, num_samples, C]`."""
    batches = []
    for begin in range(0, len(windows), self._batch_size):
      batch = self._features(windows[begin : begin + self._batch_size])
      batches.append({name: value.numpy() for name, value in batch.items()})
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


class FeatureStore:
  """Features of the windows of sounds, in files of a folder.

  Attributes:
    failures: reason by number of each sound that could not be read.
  """

  def __init__(self, folder: str, key: Mapping[str, Any], fingerprint: Mapping[str, list[float]]):
    """Opens a folder; files in it of other settings or another network are removed.

    Args:
      folder: made where it is missing.
      key: what the features depend on beside the network; values that JSON can hold.
      fingerprint: of the network; see `StageNetwork`.

    Raises:
      ForeignFilesError: the folder holds something else; nothing was removed.
    """
    self._folder = folder
    self.failures: dict[int, str] = {}
    path = os.path.join(folder, "key.json")
    key = as_json(key)
    if os.path.isdir(folder) and not _is_same(path, key, fingerprint):
      logging.info("%s holds features of other settings: they are computed anew.", folder)
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
    """Computes the features of sounds that are not there yet.

    Args:
      title: name of this kind of windows; in the names of files.
      numbers: int64 `[N]`, numbers of the sounds, the same at each call for a title.
      windows_of: gives the windows of a sound, float32 `[num_windows, num_samples, C]`; raises
        MediaError where it cannot be read. Called from several threads.
      network: gives their features.
      num_windows: windows of a sound.
      most_failures: how many sounds may be unreadable.
      progress: whether to show a bar.

    Raises:
      UserError: more sounds than that cannot be read, or features exceed half precision.
    """
    chunks = list(_chunks(numbers, num_windows))
    bar = Bar(f"features to {title}", len(numbers), "sound", shown=progress, stays=True)
    with bar, concurrent.futures.ThreadPoolExecutor() as executor:
      for number, chunk in enumerate(chunks):
        path = self._path(title, number)
        # Files that could not be read may have been mended since: their chunk is computed anew.
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
      wanted: int64 `[M]`, numbers of the sounds whose features are wanted, increasing.
      num_windows: as in `extract`.

    Returns:
      float32 `[M' * num_windows, D]`, and int64 `[M']`: the numbers of the sounds wanted that
      could be read. The windows of a sound follow each other.
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
      raise UserError(f"None of the {len(wanted)} sounds to {title} could be read.")
    return rows, found

  def remove(self) -> None:
    """Removes the files."""
    own_files.delete(self._folder, TREE, "Move it away, or name another --output_dir.")

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
        # Also false where a value is not a number.
        if not np.abs(rows).max() <= _LARGEST:
          raise UserError(
            f"Features of {stage} are not finite or exceed {_LARGEST:g} in size: is this network "
            "trained, and its run sound?"
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
      f"{len(self.failures)} sounds cannot be read so far, more than the {most_failures} that "
      "AudioSVM.max_failure_rate allows:\n"
      + "\n".join(lines)
      + "\nMend or replace these files and start again; what is done is kept."
    )


def _or_reason(windows_of: Callable[[int], np.ndarray]) -> Callable:
  """A function of a number that returns the reason instead of raising MediaError."""

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
  """Whether a chunk is there, none of its sounds is missing, and all of it can be read."""
  try:
    with arrays.open_npz(path) as content:
      return not len(content["failed"]) and all(content[name] is not None for name in content.names)
  except FileNotFoundError:
    return False
  except arrays.ArraysError as error:
    logging.warning("Computed again: %s", error)
    return False


def _is_same(path: str, key: Mapping[str, Any], fingerprint: Mapping[str, list[float]]) -> bool:
  """Whether features in the folder of `path` are of this key and this network."""
  try:
    content = read_json(path)
    found = content["fingerprint"]
    # Sums may differ in the last digits with the number of threads.
    return (
      content["key"] == key
      and set(found) == set(fingerprint)
      and all(np.allclose(found[name], fingerprint[name], rtol=1e-3) for name in found)
    )
  except (FileNotFoundError, KeyError, TypeError, ValueError):  # Something else, or damaged.
    return False
