"""Labelled recordings, from audio files or from records, and their folds."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Callable, Optional

import numpy as np
import tensorflow as tf
from absl import logging

from avssl_tf.data.clip_content import reason_of
from avssl_tf.data.media import media_sound, sound_file
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.data.records import dataset_info, split_names
from avssl_tf.data.records.record_reader import RecordReader
from avssl_tf.data.sources.dcase import clips_of_dcase
from avssl_tf.data.sources.esc50 import clips_of_esc50
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.errors import UserError

Splits = Optional[Sequence[Sequence[str]]]


@dataclasses.dataclass(frozen=True)
class Part:
  """A fold.

  Attributes:
    name: name of the fold.
    train: int64 `[N]`, indices of the recordings to train on, increasing.
    test: int64 `[M]`, indices of the recordings to test on, increasing.
  """

  name: str
  train: np.ndarray
  test: np.ndarray


@dataclasses.dataclass(frozen=True)
class SoundSet:
  """Labelled recordings.

  Attributes:
    ids: unique name of each recording.
    labels: int64 `[N]`, -1 where unknown.
    parts: the folds, without unlabelled recordings.
    read: returns the waveform of a recording by index, float32 `[samples, channels]`, at the
      requested rate and with the requested channels; raises MediaError if a file cannot be read.
    missing: indices of the recordings whose file is missing.
  """

  ids: list[str]
  labels: np.ndarray
  parts: list[Part]
  read: Callable[[int], np.ndarray]
  missing: Sequence[int] = ()


def list_files(data_dir: str) -> Listing:
  """Lists the recordings of a folder with the layout of ESC-50 or DCASE.

  Raises:
    MissingFileError: no such folder.
    ListError: the folder has neither layout; the message states what each requires.
  """
  sources: dict[str, Callable[[str], Listing]] = {"ESC-50": clips_of_esc50, "DCASE": clips_of_dcase}
  problems = []
  for name, source in sources.items():
    try:
      return source(data_dir)
    except ListError as error:
      problems.append(f"{name}: {error}")
  raise ListError(
    f"{data_dir!r} contains neither records ({dataset_info.FILE_NAME}) nor a known data set.\n"
    + "\n".join(problems)
  )


def of_files(
  listing: Listing, sample_rate_hz: int, num_channels: int, splits: Splits = None
) -> SoundSet:
  """Recordings from audio files.

  Args:
    listing: the files, their classes, and their splits and subsets.
    sample_rate_hz: sample rate of the waveforms.
    num_channels: channels of the waveforms.
    splits: see `find_parts`.

  Raises:
    UserError: as in `find_parts`.
  """
  requests = listing.requests
  numbers = {name: number for number, name in enumerate(listing.label_names)}
  labels = np.array([numbers[r.labels[0]] if r.labels else -1 for r in requests], np.int64)
  ids = [request.media_id for request in requests]
  position = {media_id: number for number, media_id in enumerate(ids)}
  selections: dict[str, list[int]] = {}
  for number, request in enumerate(requests):
    selections.setdefault(request.split, []).append(number)
  for name, media_ids in listing.subsets.items():
    selections[name] = [position[media_id] for media_id in media_ids]

  def read(number: int) -> np.ndarray:
    try:
      return read_span(requests[number])
    except MediaError:
      raise
    except Exception as error:  # Any error counts as a failure of this file.
      raise MediaError(reason_of(error)) from error

  def read_span(request: ClipRequest) -> np.ndarray:
    waveform = sound_file.read_sound(request.path, sample_rate_hz, num_channels)
    begin = round((request.start_sec or 0) * sample_rate_hz)
    end = len(waveform) if request.end_sec is None else round(request.end_sec * sample_rate_hz)
    if not len(waveform[begin:end]):
      raise MediaError(f"it ends before {request.start_sec:g} s, the start of the span")
    return waveform[begin:end]

  missing = [number for number, r in enumerate(requests) if not os.path.isfile(r.path)]
  return SoundSet(ids, labels, find_parts(selections, labels, splits), read, missing)


def of_records(
  data_dir: str, sample_rate_hz: int, num_channels: int, splits: Splits = None
) -> SoundSet:
  """Recordings from records.

  Args:
    data_dir: folder of a data set.
    sample_rate_hz: sample rate of the waveforms.
    num_channels: channels of the waveforms; the records must have the same number.
    splits: see `find_parts`.

  Raises:
    MissingFileError: files of the data set are missing.
    UserError: as in `find_parts`; or the records have no audio or another number of channels.
  """
  info = dataset_info.DatasetInfo.load(data_dir)
  if "audio" not in info.modalities:
    raise UserError(f"The records in {data_dir!r} contain no audio to classify, only frames.")
  if info.num_channels != num_channels:
    raise UserError(
      f"The audio in {data_dir!r} has {info.num_channels} channels, but the network requires "
      f"{num_channels}. Build the records with --num_channels={num_channels}."
    )
  tables = {split: info.records(split) for split in info.splits}
  places = [(split, number) for split, table in tables.items() for number in table.numbers]
  position = {place: number for number, place in enumerate(places)}
  readers = {
    split: RecordReader(data_dir, split) for split, table in tables.items() if len(table.numbers)
  }

  def select(name: str) -> list[int]:
    split = split_names.parse_split(name)[0]
    split = info.subsets[split].split if split in info.subsets else split
    return [position[split, number] for number in info.records(name).numbers]

  def read(number: int) -> np.ndarray:
    split, record = places[number]
    waveform = readers[split].read(tf.constant(record, tf.int64)).waveform.numpy()
    samples = np.ascontiguousarray(waveform.T)
    return media_sound.resample(samples, info.sample_rate_hz, sample_rate_hz).T

  ids = [f"{split}/{example_id}" for split, table in tables.items() for example_id in table.ids]
  labels = np.concatenate([table.labels for table in tables.values()])
  named = {name for pair in splits or () for name in pair}
  selections = {name: select(name) for name in {*info.splits, *info.subsets, *named}}
  return SoundSet(ids, labels, find_parts(selections, labels, splits), read)


def find_parts(
  selections: Mapping[str, Sequence[int]], labels: np.ndarray, splits: Splits = None
) -> list[Part]:
  """Builds the folds from named selections of recordings.

  Args:
    selections: indices of recordings by the name of their split or subset.
    labels: int64 `[N]`, label of each recording, -1 where unknown.
    splits: pairs of training and test selections. None uses the first of these that exists:
      `fold1`, `fold2` ... (each is tested by a classifier trained on all others), `train1` and
      `test1`, `train2` and `test2` ..., `train` and `test`.

  Returns:
    Folds named `fold1`, `fold2` ... in order; a single fold has the name of its test selection.

  Raises:
    UserError: a selection does not exist, training and test recordings overlap, or a fold lacks
      labelled recordings (of at least two classes for training).
  """
  if splits is None:
    splits = _usual_splits(selections)
  parts = []
  for number, (train, test) in enumerate(splits, start=1):
    train_names = [train] if isinstance(train, str) else train
    unknown = [name for name in (*train_names, test) if name not in selections]
    if unknown:
      raise UserError(f"No split or subset {unknown[0]!r}. There are: {sorted(selections)}.")
    name = test if len(splits) == 1 else f"fold{number}"
    learnt = np.unique(np.concatenate([np.int64(selections[name]) for name in train_names]))
    tested = np.unique(np.int64(selections[test]))
    if np.intersect1d(learnt, tested).size:
      raise UserError(f"Test recordings of {test!r} are also in the training data {train!r}.")
    part = Part(name, learnt[labels[learnt] >= 0], tested[labels[tested] >= 0])
    num_classes = len(np.unique(labels[part.train]))
    if num_classes < 2 or not len(part.test):
      raise UserError(
        f"{train!r} has {len(part.train)} labelled recordings of {num_classes} classes and "
        f"{test!r} has {len(part.test)}; expected two classes or more to train on, and recordings "
        "to test on."
      )
    left_out = len(learnt) + len(tested) - len(part.train) - len(part.test)
    if left_out:
      logging.info("%s: %d recordings without a label are skipped.", name, left_out)
    parts.append(part)
  return parts


def _usual_splits(selections: Mapping[str, Sequence[int]]) -> list[tuple]:
  folds = [name for name in selections if re.fullmatch(r"fold\d+", name)]
  folds = sorted(folds, key=lambda name: int(name[len("fold") :]))
  if folds:
    missing = [f"fold{n}" for n in range(1, int(folds[-1][4:]) + 1) if f"fold{n}" not in folds]
    if missing or len(folds) == 1:
      raise UserError(
        f"There are {folds}, but {missing or ['fold2']} are missing: complete the file list of the "
        "data set, or set pairs to train and test on."
      )
    return [([other for other in folds if other != test], test) for test in folds]
  numbered = []
  while {f"train{len(numbered) + 1}", f"test{len(numbered) + 1}"} <= set(selections):
    numbered.append((f"train{len(numbered) + 1}", f"test{len(numbered) + 1}"))
  return numbered or [("train", "test")]
