"""The metrics of a run: `metrics.jsonl`; the same values, and images, for TensorBoard."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Union

import numpy as np
import tensorflow as tf
from absl import logging

from avssl_tf import local_paths
from avssl_tf.errors import UserError
from avssl_tf.files import errors_named, parse_json, whole_file
from avssl_tf.training import run_folder

PROBE = "probe/"
_MAX_STEP = 1 << 62


class Metrics:
  """The log of a run: one JSON object per line, with `"step"` and any numbers by name.

  A killed run repeats the steps after its last checkpoint when it resumes, and logs them again:
  `drop_after` removes the earlier entries.
  """

  def __init__(self, model_dir: str, write: bool = True):
    """Opens the log in `model_dir`; writes files only if `write` is true."""
    self._path = os.path.join(model_dir, run_folder.METRICS)
    self._tensorboard_dir = os.path.join(model_dir, run_folder.TENSORBOARD)
    self._write = write
    self._writer = None
    self._probes = probes(read(self._path))
    # Logged names at the step from which the run resumes: that step is logged a second time.
    self._known: dict[int, set[str]] = {}

  @property
  def probes(self) -> dict[int, dict[str, float]]:
    """Probe results by step, in order."""
    return dict(sorted(self._probes.items()))

  def drop_after(self, step: int) -> None:
    """Removes entries after `step`; entries at `step` are kept and not logged again."""
    self._probes = {s: values for s, values in self._probes.items() if s <= step}
    if self._write and os.path.exists(self._path):
      lines = [line for line in read(self._path) if line["step"] <= step]
      self._known = {step: {name for line in lines if line["step"] == step for name in line}}
      with whole_file(self._path) as temporary, open(temporary, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)

  def add(self, step: int, values: Mapping[str, Union[float, np.ndarray]]) -> None:
    """Adds a line for `step`, and the same values to TensorBoard.

    Args:
      step: number of completed steps.
      values: numbers, or arrays `[n]`, by name. Arrays become histograms in TensorBoard and are
        not in the line.
    """
    known = self._known.get(step, ())
    values = {name: value for name, value in values.items() if name not in known}
    numbers = {name: value for name, value in values.items() if np.ndim(value) == 0}
    self._probes.update(probes([{"step": step, **numbers}]))
    if not self._write:
      return
    if numbers:
      with errors_named(self._path), open(self._path, "a", encoding="utf-8") as f:
        f.write(json.dumps({"step": step, **numbers}) + "\n")
    with self._summaries(step):
      for name, value in values.items():
        if name in numbers:
          tf.summary.scalar(name, value)
        else:
          tf.summary.histogram(name, value)

  def add_picture(self, step: int, name: str, picture: np.ndarray) -> None:
    """Adds an image to TensorBoard.

    Args:
      step: number of completed steps.
      name: tag of the image.
      picture: uint8 `[H, W, 3]`, RGB.
    """
    if self._write:
      with self._summaries(step):
        tf.summary.image(name, picture[np.newaxis])

  @contextlib.contextmanager
  def _summaries(self, step: int) -> Iterator[None]:
    """Collects the summaries of a step, and writes them on exit."""
    if self._writer is None:
      self._writer = tf.summary.create_file_writer(
        local_paths.for_tensorflow(self._tensorboard_dir)
      )
    with self._writer.as_default(step=step):
      yield
    self._writer.flush()


def read(path: str) -> list[dict[str, float]]:
  """Reads the lines of a `metrics.jsonl`.

  An incomplete last line, left by a killed process, is ignored. Damaged lines, such as zeros after
  a crash of the machine, are ignored with a warning.
  """
  if not os.path.exists(path):
    return []
  lines, damaged = [], []
  with open(path, "rb") as f:
    for number, text in enumerate(f, start=1):
      if not text.endswith(b"\n"):
        break
      try:
        lines.append(_checked(text, f"{path}, line {number}"))
      except ValueError as error:
        damaged.append(str(error))
  if damaged:
    more = f" {len(damaged) - 1} more lines are damaged." if len(damaged) > 1 else ""
    logging.warning("A damaged line of the log is ignored: %s%s", damaged[0], more)
  return lines


def _checked(text: bytes, source: str) -> dict[str, float]:
  """A parsed line; it must contain only numbers, including the step."""
  line = parse_json(text, source)
  step = line.get("step")
  numbers = all(isinstance(value, (int, float)) for value in line.values())
  if not numbers or not isinstance(step, int) or not 0 <= step < _MAX_STEP:
    raise UserError(f"{source} is not a line of a log; expected numbers by name, and a step.")
  return line


def probes(lines: Sequence[Mapping[str, float]]) -> dict[int, dict[str, float]]:
  """Probe results in lines of the log, by step."""
  return {
    line["step"]: {name: value for name, value in line.items() if name.startswith(PROBE)}
    for line in lines
    if any(name.startswith(PROBE) for name in line)
  }
