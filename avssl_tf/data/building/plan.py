"""What a build will do: files are cut into clips, and these are spread over shards."""

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
  """One record file to be.

  Attributes:
    split: of its clips.
    name: of the file.
    clips: in order.
  """

  split: str
  name: str
  clips: Sequence[PlannedClip]


@dataclasses.dataclass(frozen=True)
class Cutting:
  """How long clips are.

  Attributes:
    clip_duration_sec: length of the clips that a file is cut into.
    min_duration_sec: shorter ones are not kept.
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

  A span is cut into clips of `clip_duration_sec`; the rest is a clip of its own unless it is
  shorter than the minimum. What is asked for beyond the end of the file is not there to be had.

  Args:
    start_sec: start of the span; `None`: that of the file.
    end_sec: end of the span; `None`: that of the file.
    duration_sec: duration of the file.
    cutting: see there.

  Returns:
    Start and end of each clip in microseconds, at least one.

  Raises:
    MediaError: the span is shorter than the minimum, or gives too many clips.
  """
  start = _microseconds(start_sec or 0.0)
  # Down, not to the nearest: a clip must not end after its file.
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
  """The clips of all requests, in order, and what is known to fail.

  Args:
    requests: what is asked for.
    probes: by path; `None` where the reader needs none and all requests have both ends.
    cutting: see there.
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
  """`num_parts` contiguous parts whose lengths differ by at most one."""
  bounds = [len(items) * part // num_parts for part in range(num_parts + 1)]
  return [items[begin:end] for begin, end in zip(bounds, bounds[1:])]


def shuffled(clips: Sequence[PlannedClip]) -> list[PlannedClip]:
  """The clips in a random order that follows from their ids.

  Which clips there are does not change the order of any two of them: a clip that failed and is
  read after all takes the place that it would have had.
  """
  return sorted(clips, key=lambda clip: hashlib.sha256(os.fsencode(clip.example_id)).digest())


def plan_shards(
  clips: Sequence[PlannedClip], num_shards: int, shuffle: bool = False
) -> list[PlannedShard]:
  """Spreads the clips of each split over `num_shards` files of about equal length.

  A split of fewer clips gets a file for each.

  Args:
    clips: all clips of the data set.
    num_shards: number of files of a split.
    shuffle: whether they are put in a random order before; else they keep theirs.
  """
  by_split = collections.defaultdict(list)
  for clip in shuffled(clips) if shuffle else clips:
    by_split[clip.split].append(clip)
  shards = []
  for split in sorted(by_split):
    count = min(num_shards, len(by_split[split]))
    shards.extend(
      PlannedShard(split, f"{split}-{number:05d}-of-{count:05d}.tfrecord", part)
      for number, part in enumerate(split_evenly(by_split[split], count))
    )
  return shards


def common_num_channels(probes: dict[str, Probe]) -> int:
  """Number of channels that all files have.

  Raises:
    UserError: they differ, so that no batch could be made of them.
  """
  found = collections.defaultdict(list)
  for probe in probes.values():
    if probe.reason is None:
      found[probe.num_channels].append(probe.path)
  if len(found) != 1:
    listing = ", ".join(f"{n} channels in {len(p)} (as {p[0]!r})" for n, p in found.items())
    raise UserError(
      f"All channels are to be kept, but the files differ: {listing or 'no file is readable'}. "
      "Pass --num_channels=1 or 2 to mix them, or build a data set of each kind."
    )
  return next(iter(found))


def _duration(probe: Probe) -> float:
  if probe.reason is not None:
    raise MediaError(probe.reason)
  return probe.duration_sec


def _microseconds(seconds: float) -> int:
  return round(seconds * 1e6)
