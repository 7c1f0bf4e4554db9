"""Initialising the memory banks of a run from those of another run."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Optional

import numpy as np

from avssl_tf import checkpoint_files, text_files
from avssl_tf.errors import UserError
from avssl_tf.files import whole_file
from avssl_tf.losses import bank_objective
from avssl_tf.training import run_folder, strategies

_VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
_BANKS = ("video_bank", "audio_bank")
_NORMALIZER = f"task/objective/normalizer/{_VALUE}"


class InitializationError(UserError):
  """A run cannot be initialised from another; the message states the reason and the remedy."""


def _bank_name(bank: str) -> str:
  return f"task/objective/{bank}/rows/{_VALUE}"


def save_video_ids(model_dir: str, ids: Sequence[str], replace: bool = False) -> None:
  """Writes the video id of each row of the banks, one per line.

  Args:
    model_dir: folder of the run.
    ids: video ids, in the order of the rows.
    replace: overwrite an existing list instead of comparing it with `ids`.

  Raises:
    InitializationError: the run in `model_dir` was started with other videos.
  """
  found = None if replace else read_video_ids(model_dir)
  if found is None:
    path = os.path.join(model_dir, run_folder.VIDEO_IDS)
    encoding = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
    with whole_file(path) as temporary, open(temporary, "w", **encoding) as f:
      f.writelines(f"{_line(video_id)}\n" for video_id in ids)
    return
  wanted = [_line(video_id) for video_id in ids]
  if found != wanted:
    different = next(
      (i for i, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1]),
      min(len(found), len(wanted)),
    )
    raise InitializationError(
      f"The {len(found)} videos of the run in {model_dir} differ from the {len(wanted)} of the "
      f"data set: row {different} is {_at(found, different)} in its banks and "
      f"{_at(wanted, different)} in the data. Resume with the data of the run; or choose another "
      "--model_dir, and "
      f'train.init_from="{model_dir}" to initialise the memory of the videos that both have.'
    )


def read_video_ids(model_dir: str) -> Optional[list[str]]:
  """Video id of each row of a run's memory banks; None if the run has no list of them."""
  path = os.path.join(model_dir, run_folder.VIDEO_IDS)
  if not os.path.exists(path):
    return None
  ids = text_files.read(path, names=True).split("\n")
  # The last line of a file written by hand may lack its line break.
  return ids if ids[-1] else ids[:-1]


def _line(video_id: str) -> str:
  """An id with line breaks escaped: file names may contain them."""
  return video_id.replace("\\", "\\\\").replace("\n", "\\n")


def _at(ids: Sequence[str], row: int) -> str:
  return repr(ids[row]) if row < len(ids) else "missing"


@dataclasses.dataclass(frozen=True)
class Memory:
  """Rows of the memory banks of another run, for the videos of this one.

  Attributes:
    rows: int64 `[M]`, rows of this run's banks that have a counterpart in the other run.
    video_rows: float32 `[M, D]`, L2-normalised.
    audio_rows: float32 `[M, D]`, L2-normalised.
    normalizer: the NCE constant; 0 if it has not been estimated.
    is_complete: whether `rows` contains every row of this run.
  """

  rows: np.ndarray
  video_rows: np.ndarray
  audio_rows: np.ndarray
  normalizer: float
  is_complete: bool

  def write_to(self, objective: bank_objective.BankObjective) -> None:
    """Assigns the rows and the constant to an objective; called outside any replica context."""
    for bank, known in (
      (objective.video_bank, self.video_rows),
      (objective.audio_bank, self.audio_rows),
    ):
      rows = bank.rows.numpy()
      rows[self.rows] = known
      bank.rows.assign(rows)
    if self.normalizer > 0 and objective.normalizer is not None:
      objective.normalizer.assign(self.normalizer)


def memory_from(
  init_from: str,
  path: str,
  objective: Optional[bank_objective.BankObjective],
  ids: Sequence[str],
  in_source_order: bool = True,
) -> Optional[Memory]:
  """Reads the memory banks of another run, and reports videos that they lack.

  Videos are matched by id. A folder without ids, such as that of a converted checkpoint, must have
  as many rows as there are videos; they are matched in order.

  Args:
    init_from: folder of a run or of a converted checkpoint.
    path: checkpoint in that folder.
    objective: objective of the new run.
    ids: video ids of the new run, in the order of its rows.
    in_source_order: whether the records are in the order of their source, as required for rows
      without ids.

  Returns:
    The memory; None if one of the two runs has no banks.

  Raises:
    InitializationError: the banks have another dimension, no video in common with this run, or rows
      without ids that cannot be matched in order.
  """
  if objective is None:
    return None
  reader = checkpoint_files.load(path)
  shapes = reader.get_variable_to_shape_map()
  if any(_bank_name(bank) not in shapes for bank in _BANKS):
    strategies.print_on_chief(f"{init_from} has no memory banks: only its network is used.")
    return None
  num_rows, dim = shapes[_bank_name("video_bank")]
  if dim != objective.video_bank.rows.shape[1]:
    raise InitializationError(
      f'train.init_from="{init_from}": its memory banks have {dim} columns, but the embeddings of '
      f"this run have {objective.video_bank.rows.shape[1]}. Configure the network of that run, or "
      "initialise only the network: train.init_memory=False."
    )
  known = read_video_ids(init_from)
  if known is None:
    rows = source_rows = _rows_in_order(init_from, num_rows, len(ids), in_source_order)
  elif len(known) != num_rows:
    raise InitializationError(
      f"{os.path.join(init_from, run_folder.VIDEO_IDS)} has {len(known)} lines, but the memory "
      f"banks have {num_rows} rows. Expected the video id of each row, one per line. Correct the "
      "file, or initialise only the network: train.init_memory=False."
    )
  else:
    rows, source_rows = _rows_by_id(init_from, known, ids)
  video_rows, audio_rows = (reader.get_tensor(_bank_name(bank))[source_rows] for bank in _BANKS)
  normalizer = float(reader.get_tensor(_NORMALIZER)) if _NORMALIZER in shapes else 0.0
  return Memory(rows, video_rows, audio_rows, normalizer, len(rows) == len(ids))


def _rows_in_order(
  init_from: str, num_rows: int, num_videos: int, in_source_order: bool
) -> np.ndarray:
  if num_rows != num_videos:
    raise InitializationError(
      f'train.init_from="{init_from}": its memory banks have {num_rows} rows, the data set has '
      f"{num_videos} videos, and there is no {run_folder.VIDEO_IDS} to match them. Write that file "
      "(the video id of each row, one per line), or initialise only the network: "
      "train.init_memory=False."
    )
  if not in_source_order:
    raise InitializationError(
      f'train.init_from="{init_from}": there is no {run_folder.VIDEO_IDS} to match the {num_rows} '
      "rows of its memory banks with videos, and the records are in a random order. Write that "
      "file (the video id of each row, one per line), or initialise only the network: "
      "train.init_memory=False."
    )
  strategies.print_on_chief(
    f"{init_from} has no {run_folder.VIDEO_IDS}: the {num_rows} rows of its memory banks are "
    "assumed to be in the order of the videos of the data set."
  )
  return np.arange(num_rows)


def _rows_by_id(
  init_from: str, known: Sequence[str], ids: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
  """Rows of this run, and the rows of the other run for the same videos."""
  row_of = {video_id: row for row, video_id in enumerate(known)}
  wanted = [_line(video_id) for video_id in ids]
  rows = np.array([row for row, video_id in enumerate(wanted) if video_id in row_of], np.int64)
  if not len(rows):
    raise InitializationError(
      f'train.init_from="{init_from}": its memory banks contain none of the {len(ids)} videos of '
      f"the data set; for example, {known[0]!r} where the data set has {wanted[0]!r}. Initialise "
      "only the network: train.init_memory=False."
    )
  missing = [video_id for video_id in wanted if video_id not in row_of]
  text = f"{init_from}: {len(rows)} of its {len(known)} videos are in the data set"
  if missing:
    examples = ", ".join(repr(video_id) for video_id in missing[:3])
    text += (
      f"; {len(missing)} videos of the data set are not in its memory banks and are not "
      f"initialised from it ({examples}{', ...' if len(missing) > 3 else ''})"
    )
  strategies.print_on_chief(f"{text}.")
  return rows, np.array([row_of[wanted[row]] for row in rows], np.int64)
