"""Formats failures and notes of a build for the user."""

import collections
from collections.abc import Iterable, Sequence

from avssl_tf.data.building.probes import Probe
from avssl_tf.data.clip_content import Failure


def describe_failures(failures: Sequence[Failure]) -> str:
  """One line per kind of failure, most frequent first: number of failures and an example."""
  kinds: dict[str, list[Failure]] = collections.defaultdict(list)
  for failure in failures:
    kinds[failure.reason.split(":")[0]].append(failure)
  ordered = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
  return "\n".join(f"  {len(some):6d}  {kind}, such as {some[0].path!r}" for kind, some in ordered)


def describe_notes(probes: Iterable[Probe]) -> list[str]:
  """One line per note on how files are read, with the number of files."""
  files: dict[str, list[str]] = collections.defaultdict(list)
  for probe in probes:
    for note in probe.notes:
      files[note].append(probe.path)
  ordered = sorted(files.items(), key=lambda item: (-len(item[1]), item[0]))
  return [f"{len(paths)} file(s), such as {paths[0]!r}: {note}." for note, paths in ordered]
