"""Embeds files one after another, with prefetching, and saves finished parts."""

import collections
import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, Optional

import numpy as np

from avssl_tf import progress
from avssl_tf.applications.embedding import embedding_file, embedding_parts
from avssl_tf.applications.embedding.window_features import WindowFeatures
from avssl_tf.applications.media_windows import Plan, Span, Window, WindowReader
from avssl_tf.data.clip_content import Failure, reason_of

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


class FileEmbedding:
  """Embeds files into parts.

  Attributes:
    unread: failures of files and parts without any result. No part is saved for them, and the next
      command tries them again.
    noted: paths of files, by remark on how they are read.
  """

  def __init__(
    self,
    reader: WindowReader,
    features: WindowFeatures,
    parts: embedding_parts.Parts,
    batch_size: int,
  ):
    self.unread: list[Failure] = []
    self.noted: dict[str, list[str]] = collections.defaultdict(list)
    self._reader = reader
    self._features = features
    self._parts = parts
    self._batch_size = batch_size
    # Unfinished parts, in order, and their windows that are not embedded yet.
    self._begun: collections.deque[_Stretch] = collections.deque()
    self._waiting: list[tuple[_Stretch, Window]] = []

  @property
  def notes(self) -> list[str]:
    """Remarks on how files were read, as lines for the user."""
    return [
      f"Note: {len(paths)} file(s), such as {paths[0]!r}: {note}."
      for note, paths in sorted(self.noted.items())
    ]

  def run(self, sources: Sequence[Source], stride_sec: float) -> None:
    """Embeds all files that are not complete.

    Raises:
      UserError: a part cannot be written.
    """
    todo = [source for source in sources if not self._parts.complete(source.checksum)]
    num_done = len(sources) - len(todo)
    num_windows = 0
    with contextlib.ExitStack() as stack:
      bar = stack.enter_context(progress.Bar.of_files("embedding", len(sources), num_done))
      # One thread: with several readers, memory corruption in an unknown library was observed once
      # (free(): invalid next size). It could not be reproduced: neither with three readers next to
      # the network for 7 minutes under glibc's malloc checks, nor with two readers without
      # TensorFlow for 15 minutes under valgrind (PyAV 18.1, OpenCV 4.11, TensorFlow 2.15).
      pool = concurrent.futures.ThreadPoolExecutor(1)
      stack.callback(pool.shutdown, cancel_futures=True)
      plans = _ahead(pool, lambda s: self._stretches(s, stride_sec), todo, 1)
      blocks = self._blocks(plans, bar)
      for (stretch, spans, is_last), (windows, failures) in _ahead(
        pool, self._read, blocks, _BLOCKS_AHEAD
      ):
        if not self._begun or self._begun[-1] is not stretch:
          self._begun.append(stretch)
        stretch.failures += failures
        stretch.read += [window.span for window in windows]
        stretch.all_read = is_last
        self._waiting += [(stretch, window) for window in windows]
        num_windows += len(windows)
        while len(self._waiting) >= self._batch_size:
          self._embed()
        self._finish()  # There may have been nothing to embed.
        bar.set_postfix_str(f"{num_windows} windows", refresh=False)
        bar.advance(_share(stretch, len(spans)))
      if self._waiting:
        self._embed()

  def _stretches(self, source: Source, stride_sec: float) -> list[_Stretch]:
    """Cuts a file into parts, at least one."""
    try:
      plan = self._reader.plan(source.path, stride_sec)
    except Exception as error:  # An error in one file must not stop the others.
      failure = Failure(source.path, None, None, reason_of(error))
      return [_Stretch(source, 0, 1, None, [], [failure])]
    for note in plan.notes:
      self.noted[note].append(source.path)
    starts = range(0, len(plan.spans), _WINDOWS_PER_PART)
    return [
      _Stretch(
        source, i, len(starts), plan, plan.spans[start : start + _WINDOWS_PER_PART],
        list(plan.failures) if i == 0 else [],
      )
      for i, start in enumerate(starts)
    ]  # fmt: skip

  def _blocks(
    self, plans: Iterable[tuple[Source, list[_Stretch]]], bar: progress.Bar
  ) -> Iterator[tuple[_Stretch, Sequence[Span], bool]]:
    """Blocks of all unfinished parts, each with whether it is the last one of its part."""
    for _, stretches in plans:
      for stretch in stretches:
        if self._parts.has(stretch.source.checksum, stretch.number, stretch.count):
          bar.advance(_share(stretch, len(stretch.spans)))
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
    batch = self._waiting[: self._batch_size]
    del self._waiting[: self._batch_size]
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
        self.unread += stretch.failures
        continue
      features = {name: np.stack([row[name] for row in stretch.rows]) for name in stretch.rows[0]}
      rows = embedding_file.rows_of(source.media_id, stretch.read, features)
      self._parts.write(source.checksum, stretch.number, stretch.count, rows, stretch.failures)


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
