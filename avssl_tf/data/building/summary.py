"""Prints the result of a build."""

import os
from collections.abc import Collection

from avssl_tf.data.building.build import Result
from avssl_tf.data.building.failure_texts import describe_failures
from avssl_tf.data.building.subsets import describe_missing
from avssl_tf.data.sources.listings import holdout
from avssl_tf.foreign_text import printable


def print_summary(result: Result, output_dir: str, elapsed_sec: float) -> None:
  """Prints the contents of the built data set and what is missing."""
  info = result.info
  done = "Up to date" if result.was_complete else "Built"
  print(f"\n{done}: {output_dir} ({printable(info.name)})")
  for split in info.splits:
    hours = result.duration_sec.get(split, 0.0) / 3600
    files = len(info.shards(split))
    print(f"  {split:10s} {info.num_clips(split):8d} clips, {hours:.2f} h, in {files} files")
  for name, subset in info.subsets.items():
    print(f"  {printable(name):10s} {len(subset.records):8d} clips of {subset.split}")
  if result.missing:
    print(describe_missing(result.missing))
  if holdout.TEST_SPLIT not in info.splits and not info.subsets:
    probed = info.test_split()
    print(
      f"  no test split: the probe of a run uses {probed!r}" if probed else
      "  no test split: a run has no probe, unless Probe.test_split is part of another split"
    )
  if result.labels:
    classes = _described_classes(len(info.label_names), result.labels.values())
    print(f"  labels     {len(info.label_names):8d} {classes}")
  size = sum(
    os.path.getsize(os.path.join(output_dir, shard.file))
    for shards in info.splits.values() for shard in shards
  )
  print(f"  size       {size / 1e6:8.1f} MB")
  for note in result.notes:
    print(f"  note: {printable(note)}")
  print(f"  failures   {len(result.failures):8d}")
  if result.failures:
    print(describe_failures(result.failures))
    print(f"  (listed in {os.path.join(output_dir, 'failures.jsonl')}; --retry_failed retries)")
  print(f"  time       {elapsed_sec:8.1f} s")


def _described_classes(num_classes: int, counts: Collection[int]) -> str:
  """Describes the number of clips per class.

  Examples:
    >>> _described_classes(3, [4, 2, 4]), _described_classes(2, [4, 4]), _described_classes(1, [1])
    ('classes of 2 to 4 clips', 'classes of 4 clips each', 'class of 1 clip')
  """
  fewest, most = min(counts), max(counts)
  clips = f"{most} clip{'' if most == 1 else 's'}"
  each = " each" if num_classes > 1 else ""
  clips = f"{fewest} to {clips}" if fewest < most else f"{clips}{each}"
  return f"class{'' if num_classes == 1 else 'es'} of {clips}"
