"""Plan of a build: cuts files into clips and distributes the clips over shards."""

import collections
import dataclasses
import hashlib
import math
import os
from collections.abc import Sequence
from typing import Optional

from avssl_tf.data.building.probes import Probe
from avssl_tf.data.clip_content import Failure, PlannedClip
from avssl_tf.data.media import media_limits
from avssl_tf.data.media.clip_reading import MediaError
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class PlannedShard:
  """One planned record file.

  Attributes:
    split: split of its clips.
    name: file name.
    clips: clips, in order.
    first_index: number of planned clips of the split in earlier files.
  """

  split: str
  name: str
  clips: Sequence[PlannedClip]
  first_index: int


@dataclasses.dataclass(frozen=True)
class Cutting:
  """Duration of clips.

  Attributes:
    clip_duration_sec: duration of the clips that a file is cut into.
    min_duration_sec: minimum duration; shorter clips are dropped.
  """

  clip_duration_sec: float = 10.0
  min_duration_sec: float = 2.0

  def __post_init__(self):
    if not 0 < self.min_duration_sec <= self.clip_duration_sec:
      raise UserError(
        f"--min_duration_sec is {self.min_duration_sec} and --clip_duration_sec "
        f"{self.clip_duration_sec}; expected 0 < minimum <= clip duration."
      )


def cut(
  start_sec: Optional[float],
  end_sec: Optional[float],
  duration_sec: float,
  cutting: Cutting,
) -> list[tuple[int, int]]:
  """Cuts one request into clips.

  A span is cut into clips of `clip_duration_sec`. The remainder is a separate clip unless it is
  shorter than the minimum. Spans beyond the end of the file are truncated.

  Args:
    start_sec: start of the span; `None` for the start of the file.
    end_sec: end of the span; `None` for the end of the file.
    duration_sec: duration of the file.
    cutting: duration of clips.

  Returns:
    Start and end of each clip in microseconds; at least one clip.

  Raises:
    MediaError: the span is shorter than the minimum, or gives too many clips.
  """
  start = _microseconds(start_sec or 0.0)
  # Rounded down: a clip must not end after its file.
  duration = math.floor(duration_sec * 1e6)
  end = duration if end_sec is None else min(_microseconds(end_sec), duration)
  minimum = _microseconds(cutting.min_duration_sec)
  if end - start < minimum:
    raise MediaError(
      f"too short: {max(0, end - start) / 1e6:.3f} s, less than the minimum of "
      f"{cutting.min_duration_sec:g} s"
    )
  step = _microseconds(cutting.clip_duration_sec)
  media_limits.check_count(-(-(end - start) // step), (end - start) / 1e6, "clips")
  spans = [(begin, min(begin + step, end)) for begin in range(start, end, step)]
  return [span for span in spans if span[1] - span[0] >= minimum]


def plan_clips(
  requests: Sequence[ClipRequest], probes: Optional[dict[str, Probe]], cutting: Cutting
) -> tuple[list[PlannedClip], list[Failure]]:
  """Plans the clips of all requests, in order, and lists the known failures.

  Args:
    requests: the requests.
    probes: probes by path; `None` if the reader needs none and all requests have a start and an
      end.
    cutting: duration of clips.
  """
  clips, failures = [], []
  for number, request in enumerate(requests):
    try:
      duration_sec = request.end_sec if probes is None else _duration(probes[request.path])
      spans = cut(request.start_sec, request.end_sec, duration_sec, cutting)
    except MediaError as error:
      failures.append(Failure(request.path, request.start_sec, request.end_sec, str(error)))
      continue
    clips.extend(
      PlannedClip(
        number, request.split, request.path, request.media_id, request.labels, start, end
      )
      for start, end in spans
    )
  return clips, failures


def split_evenly(items: Sequence, num_parts: int) -> list[Sequence]:
  """Splits items into `num_parts` contiguous parts whose lengths differ by at most one."""
  bounds = [len(items) * part // num_parts for part in range(num_parts + 1)]
  return [items[begin:end] for begin, end in zip(bounds, bounds[1:])]


def shuffled(clips: Sequence[PlannedClip]) -> list[PlannedClip]:
  """Sorts the clips by a hash of their ids, which gives a random order.

  The relative order of two clips does not depend on the other clips: a clip that fails first and
  succeeds later gets the same position as without the failure.
  """
  return sorted(clips, key=lambda clip: hashlib.sha256(os.fsencode(clip.example_id)).digest())


def plan_shards(
  clips: Sequence[PlannedClip],
  num_shards: int,
  shuffle: bool = False,
  max_shard_clips: Optional[int] = None,
) -> list[PlannedShard]:
  """Distributes the clips of each split over files of about equal length.

  A split with fewer clips gets one file per clip.

  Args:
    clips: all clips of the data set.
    num_shards: number of files per split; more if `max_shard_clips` requires it.
    shuffle: whether to shuffle the clips first; otherwise their order is kept.
    max_shard_clips: maximum number of clips of a file; None: no limit.
  """
  by_split = collections.defaultdict(list)
  for clip in shuffled(clips) if shuffle else clips:
    by_split[clip.split].append(clip)
  shards = []
  for split in sorted(by_split):
    num_clips = len(by_split[split])
    by_size = 0 if max_shard_clips is None else math.ceil(num_clips / max_shard_clips)
    count = min(max(num_shards, by_size), num_clips)
    first_index = 0
    for number, part in enumerate(split_evenly(by_split[split], count)):
      name = f"{split}-{number:05d}-of-{count:05d}.tfrecord"
      shards.append(PlannedShard(split, name, part, first_index))
      first_index += len(part)
  return shards


def common_num_channels(probes: dict[str, Probe]) -> int:
  """Number of audio channels that all files have in common.

  Raises:
    UserError: the files have different numbers of channels, so they cannot be batched.
  """
  found = collections.defaultdict(list)
  for probe in probes.values():
    if probe.reason is None:
      found[probe.num_channels].append(probe.path)
  if len(found) != 1:
    listing = ", ".join(f"{n} channels in {len(p)} (such as {p[0]!r})" for n, p in found.items())
    raise UserError(
      f"Cannot keep all channels, because the files differ: {listing or 'no file is readable'}. "
      "Pass --num_channels=1 or 2 to mix them, or build a data set of each kind."
    )
  return next(iter(found))


def _duration(probe: Probe) -> float:
  if probe.reason is not None:
    raise MediaError(probe.reason)
  return probe.duration_sec


def _microseconds(seconds: float) -> int:
  return round(seconds * 1e6)
