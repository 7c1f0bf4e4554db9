"""Metadata of input files, read before decoding.

A probe is cheap, but there may be a million files. Results are appended to a journal, so that a
resumed build probes only new files.
"""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Sequence
from typing import Callable, Optional

from absl import logging

from avssl_tf.data.clip_content import Probed, Reader, reason_of
from avssl_tf.engines.engine import Engine, Monitor
from avssl_tf.errors import UserError
from avssl_tf.files import parse_json, whole_file

_PROBES_PER_TASK = 16


@dataclasses.dataclass(frozen=True)
class Probe:
  """Metadata of a file.

  Attributes:
    path: the file.
    size: size in bytes.
    mtime_ns: modification time.
    duration_sec: duration of the span that video and audio have in common.
    num_channels: number of audio channels; 0 if audio is not requested.
    reason: why the file cannot be used; `duration_sec` and `num_channels` are undefined then.
    notes: notes for the user on how the file is read.
  """

  path: str
  size: int = 0
  mtime_ns: int = 0
  duration_sec: float = 0.0
  num_channels: int = 0
  reason: Optional[str] = None
  notes: Sequence[str] = ()

  def _checked(self) -> "Probe":
    numbers = (self.size, self.mtime_ns, self.duration_sec, self.num_channels)
    if (
      not isinstance(self.path, str)
      or not all(isinstance(number, (int, float)) for number in numbers)
      or not math.isfinite(self.duration_sec)
      or not isinstance(self.reason, (str, type(None)))
      or not isinstance(self.notes, (list, tuple))
      or not all(isinstance(note, str) for note in self.notes)
    ):
      raise UserError(f"{self} is not a valid probe")
    return dataclasses.replace(self, notes=tuple(self.notes))  # JSON has lists.


class ProbeJournal:
  """The probes of a build, in a JSON Lines file; the last entry of a file counts."""

  def __init__(self, path: str):
    self._path = path
    self.probes: dict[str, Probe] = {}
    if os.path.exists(path):
      self._load()

  def forget(self, paths: Sequence[str]) -> None:
    """Removes the probes of `paths`, so that these files are probed again."""
    for path in paths:
      self.probes.pop(path, None)

  def probe_missing(
    self,
    paths: Sequence[str],
    reader: Reader,
    modalities: Sequence[str],
    engine: Engine,
    on_progress: Callable[[float], None],
  ) -> None:
    """Probes those of `paths` that have no probe.

    Args:
      paths: files.
      reader: reader that probes the files.
      modalities: required modalities.
      engine: runs the work.
      on_progress: called with the number of files begun.
    """
    missing = [path for path in paths if path not in self.probes]
    tasks = [
      (reader, modalities, missing[i : i + _PROBES_PER_TASK])
      for i in range(0, len(missing), _PROBES_PER_TASK)
    ]
    with open(self._path, "a", encoding="utf-8") as f:
      run = engine.run(_probe_files, tasks, on_progress)
      with contextlib.closing(run) as finished:
        for _, probes in finished:
          for probe in probes:
            f.write(json.dumps(dataclasses.asdict(probe)) + "\n")
            self.probes[probe.path] = probe
          f.flush()

  def changed(self, paths: Sequence[str]) -> list[str]:
    """Those of `paths` that changed since they were probed."""
    return [p for p in paths if _stat(p) != (self.probes[p].size, self.probes[p].mtime_ns)]

  def _load(self) -> None:
    with open(self._path, encoding="utf-8", errors="replace") as f:
      lines = f.readlines()
    # A killed build may have left a partial line at the end.
    whole = [line for line in lines if line.endswith("\n")]
    damaged = 0
    for number, line in enumerate(whole, start=1):
      try:
        probe = Probe(**parse_json(line, f"{self._path}, line {number}"))._checked()
      except (TypeError, ValueError) as error:
        damaged += 1
        logging.warning("Ignoring an invalid journal line; its file is probed again: %s", error)
      else:
        self.probes[probe.path] = probe
    if len(whole) < len(lines) or damaged:
      with whole_file(self._path) as temporary, open(temporary, "w", encoding="utf-8") as f:
        f.writelines(
          json.dumps(dataclasses.asdict(probe)) + "\n" for probe in self.probes.values()
        )


def _probe_files(
  task: tuple[Reader, Sequence[str], list[str]], monitor: Monitor
) -> list[Probe]:
  reader, modalities, paths = task
  return [_probe_file(reader, modalities, path, item, monitor) for item, path in enumerate(paths)]


def _probe_file(
  reader: Reader, modalities: Sequence[str], path: str, item: int, monitor: Monitor
) -> Probe:
  if item in monitor.skip:
    return Probe(path, *_stat(path), reason=monitor.skip[item])
  monitor.begin(item)
  size, mtime_ns = _stat(path)
  try:
    found = Probed(*reader.probe(path, modalities))
  except Exception as error:  # An error of one file must not stop the others.
    return Probe(path, size, mtime_ns, reason=reason_of(error))
  return Probe(
    path, size, mtime_ns, found.duration_sec, found.num_channels, notes=tuple(found.notes)
  )


def _stat(path: str) -> tuple[int, int]:
  try:
    status = os.stat(path)
  except OSError:
    return 0, 0
  return status.st_size, status.st_mtime_ns
