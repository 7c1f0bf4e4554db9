"""Embeds files one after another, with prefetching, and saves finished parts."""

import collections
import concurrent.futures
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, Optional

import numpy as np

from avssl_tf.applications.embedding import embedding_file, embedding_parts
from avssl_tf.applications.embedding.window_features import WindowFeatures
from avssl_tf.applications.media_windows import Plan, Span, Window, WindowReader
from avssl_tf.data.clip_content import Failure, reason_of
from avssl_tf.engines.engine import Monitor
from avssl_tf.inference.encoder import Encoder

# Windows per saved part: some minutes of a file, with windows of seconds.
_WINDOWS_PER_PART = 256
# Number of prefetched blocks.
_BLOCKS_AHEAD = 2


@dataclasses.dataclass(frozen=True)
class Source:
  """A file to embed.

  Attributes:
    media_id: path relative to the input, with forward slashes.
    path: the file.
    checksum: checksum that changes with the file.
  """

  media_id: str
  path: str
  checksum: str


@dataclasses.dataclass
class _Stretch:
  """The windows of one part of a file, or a file that cannot be read.

  Attributes:
    source: the file.
    number: index of the part, from 0.
    count: number of parts of the file.
    plan: reading plan of the file; None if it cannot be read.
    spans: the windows.
    failures: failures so far.
    read: spans of the windows that were read.
    rows: features and embeddings of the windows processed so far.
    all_read: whether all windows have been read.
  """

  source: Source
  number: int
  count: int
  plan: Optional[Plan]
  spans: Sequence[Span]
  failures: list[Failure]
  read: list[Span] = dataclasses.field(default_factory=list)
  rows: list[dict[str, np.ndarray]] = dataclasses.field(default_factory=list)
  all_read: bool = False

  @property
  def done(self) -> bool:
    return self.all_read and len(self.rows) == len(self.read)


@dataclasses.dataclass(frozen=True)
class Task:
  """Files to embed, a task of an engine.

  Attributes:
    sources: the files.
    folder: folder of the parts.
    stride_sec: time between the starts of consecutive windows.
    batch_size: windows per batch.
    audio_track: number of the audio track, from 1; None: the default track.
    model_dir: folder of the network.
    load_encoder: loads the network from its folder, once in each worker process.
  """

  sources: Sequence[Source]
  folder: str
  stride_sec: float
  batch_size: int
  audio_track: Optional[int]
  model_dir: str
  load_encoder: Callable[[str], Encoder]


@dataclasses.dataclass
class Embedded:
  """Result of a task.

  Attributes:
    unread: failures of files and parts without any result. No part is saved for them, and the next
      command tries them again.
    noted: paths of files, by remark on how they are read.
  """

  unread: list[Failure] = dataclasses.field(default_factory=list)
  noted: dict[str, list[str]] = dataclasses.field(
    default_factory=lambda: collections.defaultdict(list)
  )

  def add(self, other: "Embedded") -> None:
    """Adds the result of another task."""
    self.unread += other.unread
    for note, paths in other.noted.items():
      self.noted[note] += paths

  @property
  def notes(self) -> list[str]:
    """Remarks on how files were read, as lines for the user."""
    return [
      f"Note: {len(paths)} file(s), such as {min(paths)!r}: {note}."
      for note, paths in sorted(self.noted.items())
    ]


def embed_in_worker(task: Task, monitor: Monitor) -> Embedded:
  """Embeds files with a network that the first task of a process loads."""
  return FileEmbedding(
    *_loaded(task.load_encoder, task.model_dir, task.audio_track), task, monitor
  ).run()


@functools.lru_cache(maxsize=1)
def _loaded(
  load_encoder: Callable[[str], Encoder], model_dir: str, audio_track: Optional[int]
) -> tuple[WindowReader, WindowFeatures]:
  encoder = load_encoder(model_dir)
  return WindowReader(encoder, audio_track), WindowFeatures(encoder)


class FileEmbedding:
  """Embeds the files of a task into parts."""

  def __init__(
    self, reader: WindowReader, features: WindowFeatures, task: Task, monitor: Monitor
  ):
    self._reader = reader
    self._features = features
    self._task = task
    self._monitor = monitor
    self._parts = embedding_parts.PartFolder(task.folder)
    self._result = Embedded()
    # Unfinished parts, in order, and their windows that are not embedded yet.
    self._begun: collections.deque[_Stretch] = collections.deque()
    self._waiting: list[tuple[_Stretch, Window]] = []

  def run(self) -> Embedded:
    """Embeds all files.

    Raises:
      UserError: a part cannot be written.
    """
    # One thread: with several readers, memory corruption in an unknown library was observed once
    # (free(): invalid next size). It could not be reproduced: neither with three readers next to
    # the network for 7 minutes under glibc's malloc checks, nor with two readers without
    # TensorFlow for 15 minutes under valgrind (PyAV 18.1, OpenCV 4.11, TensorFlow 2.15).
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
      plans = _ahead(pool, self._stretches, enumerate(self._task.sources), 1)
      for (stretch, spans, is_last), (windows, failures) in _ahead(
        pool, self._read, self._blocks(plans), _BLOCKS_AHEAD
      ):
        if not self._begun or self._begun[-1] is not stretch:
          self._begun.append(stretch)
        stretch.failures += failures
        stretch.read += [window.span for window in windows]
        stretch.all_read = is_last
        self._waiting += [(stretch, window) for window in windows]
        while len(self._waiting) >= self._task.batch_size:
          self._embed()
        self._finish()  # There may have been nothing to embed.
        self._monitor.advance(_share(stretch, len(spans)))
      if self._waiting:
        self._embed()
    finally:
      pool.shutdown(cancel_futures=True)
    return self._result

  def _stretches(self, item: tuple[int, Source]) -> list[_Stretch]:
    """Cuts a file into parts, at least one."""
    number, source = item
    if number in self._monitor.skip:
      return [_unread(source, self._monitor.skip[number])]
    # In the thread that reads, one file after another.
    self._monitor.begin(number)
    try:
      plan = self._reader.plan(source.path, self._task.stride_sec)
    except Exception as error:  # An error in one file must not stop the others.
      return [_unread(source, reason_of(error))]
    for note in plan.notes:
      self._result.noted[note].append(source.path)
    starts = range(0, len(plan.spans), _WINDOWS_PER_PART)
    return [
      _Stretch(
        source, i, len(starts), plan, plan.spans[start : start + _WINDOWS_PER_PART],
        list(plan.failures) if i == 0 else [],
      )
      for i, start in enumerate(starts)
    ]  # fmt: skip

  def _blocks(
    self, plans: Iterable[tuple[Any, list[_Stretch]]]
  ) -> Iterator[tuple[_Stretch, Sequence[Span], bool]]:
    """Blocks of all unfinished parts, each with whether it is the last one of its part."""
    for _, stretches in plans:
      for stretch in stretches:
        if self._parts.has(stretch.source.checksum, stretch.number, stretch.count):
          self._monitor.advance(_share(stretch, len(stretch.spans)))
          continue
        blocks = self._reader.blocks(stretch.spans) or [[]]
        for i, block in enumerate(blocks):
          yield stretch, block, i == len(blocks) - 1

  def _read(
    self, item: tuple[_Stretch, Sequence[Span], bool]
  ) -> tuple[list[Window], list[Failure]]:
    stretch, spans, _ = item
    return self._reader.read(stretch.plan, spans) if spans else ([], [])

  def _embed(self) -> None:
    """Embeds the next batch of windows, and writes the parts that it completes."""
    batch = self._waiting[: self._task.batch_size]
    del self._waiting[: self._task.batch_size]
    found = self._features([window for _, window in batch])
    for i, (stretch, _) in enumerate(batch):
      stretch.rows.append({name: array[i] for name, array in found.items()})
    self._finish()

  def _finish(self) -> None:
    """Writes the finished parts."""
    while self._begun and self._begun[0].done:
      stretch = self._begun.popleft()
      source = stretch.source
      if not stretch.rows:
        if not stretch.failures:
          span = (stretch.spans[0].start_sec, stretch.spans[-1].end_sec)
          stretch.failures.append(Failure(source.path, *span, "the audio is silent throughout"))
        self._result.unread += stretch.failures
        continue
      features = {name: np.stack([row[name] for row in stretch.rows]) for name in stretch.rows[0]}
      rows = embedding_file.rows_of(source.media_id, stretch.read, features)
      self._parts.write(source.checksum, stretch.number, stretch.count, rows, stretch.failures)


def _unread(source: Source, reason: str) -> _Stretch:
  return _Stretch(source, 0, 1, None, [], [Failure(source.path, None, None, reason)])


def _ahead(
  pool: concurrent.futures.Executor,
  function: Callable[[Any], Any],
  items: Iterable[Any],
  count: int,
) -> Iterator[tuple[Any, Any]]:
  """Yields items with the results of `function`, in order, computing up to `count` in advance."""
  begun: collections.deque = collections.deque()
  for item in items:
    begun.append((item, pool.submit(function, item)))
    if len(begun) >= count:
      done, future = begun.popleft()
      yield done, future.result()
  for done, future in begun:
    yield done, future.result()


def _share(stretch: _Stretch, num_windows: int) -> float:
  """Share of a file that `num_windows` of its windows make up; 1 for a file without windows."""
  return num_windows / len(stretch.plan.spans) if stretch.plan else 1.0
