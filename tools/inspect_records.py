#!/usr/bin/env python3
"""Prints the content of a data set, checks it, and draws a contact sheet.

  python tools/inspect_records.py --data_dir=data/demo --output=contact.png

Exits with status 1 if a check fails.
"""

import os
import sys

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from absl import flags

from avssl_tf import cli, local_paths
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.survey import Survey, survey
from avssl_tf.foreign_text import printable
from avssl_tf.progress import Bar
from avssl_tf.report.drawings import contact_sheet, picture_files

FLAGS = flags.FLAGS

local_paths.define_flag("data_dir", "data/demo", "Folder of the data set.")
local_paths.define_flag("output", None, "Image file to write, such as contact.png; default: none.")
flags.DEFINE_integer("num_clips", 18, "Number of clips in the contact sheet.", lower_bound=1)

_MAX_PROBLEMS_SHOWN = 20


def print_survey(info: DatasetInfo, found: Survey) -> None:
  """Prints the content of the data set."""
  print(f"{printable(info.name)}: {FLAGS.data_dir}")
  for split in info.splits:
    clips = found.num_clips[split]
    print(
      f"  {split:10s} {clips:8d} clips {found.duration_sec[split] / 3600:8.2f} h "
      f"{found.num_bytes[split] / 1e6:10.1f} MB {found.num_bytes[split] / max(1, clips) / 1e3:8.1f}"
      f" KB per clip, {len(info.shards(split))} files"
    )
  for name, subset in info.subsets.items():
    print(f"  {printable(name):10s} {len(subset.records):8d} clips of {subset.split}")
  sizes = sorted(found.frame_sizes.items(), key=lambda item: -item[1])
  listing = ", ".join(f"{width}x{height} ({count})" for (height, width), count in sizes[:5])
  more = f", and {len(sizes) - 5} more sizes" if len(sizes) > 5 else ""
  frames = f"{listing}{more}, {info.frame_rate_hz:g} Hz"
  print(f"  video      {frames if 'video' in info.modalities else 'none'}")
  if info.flow:
    print("  flow       of every frame")
  audio = f"{info.sample_rate_hz} Hz, {info.num_channels} channel(s)"
  print(f"  audio      {audio if 'audio' in info.modalities else 'none'}")
  for spectrogram in info.spectrogram_statistics:
    print(f"  statistics {spectrogram}")
  if not info.label_names:
    print("  labels     none")
    return
  print(f"  labels     {len(info.label_names)} classes")
  counts = {
    name: {split: found.labels.get((name, split), 0) for split in info.splits}
    for name in info.label_names
  }
  largest = max(1, *(sum(by_split.values()) for by_split in counts.values()))
  for name, by_split in counts.items():
    bar = "#" * round(30 * sum(by_split.values()) / largest)
    numbers = " ".join(f"{split} {count:6d}" for split, count in by_split.items())
    print(f"    {printable(name)[:24]:24s} {numbers}  {bar}")


def main() -> None:
  """Inspects the data set of `--data_dir`."""
  cli.main(_inspect, stopped="Stopped.")


def _inspect() -> None:
  cli.hide_gpus()  # They may be in use for training.
  if FLAGS.output:
    picture_files.check(FLAGS.output, "--output")
  info = DatasetInfo.load(FLAGS.data_dir)
  total = sum(info.num_clips(split) for split in info.splits)
  with Bar("Checking", total, "clip") as bar:
    found = survey(FLAGS.data_dir, info, FLAGS.num_clips if FLAGS.output else 0, bar.reach)
  print_survey(info, found)
  for problem in found.problems[:_MAX_PROBLEMS_SHOWN]:
    print(f"  PROBLEM    {printable(problem)}")
  if len(found.problems) > _MAX_PROBLEMS_SHOWN:
    print(f"  ... and {len(found.problems) - _MAX_PROBLEMS_SHOWN} more problems")
  if FLAGS.output and found.samples:
    title = f"{info.name}: {len(found.samples)} of {total} clips"
    try:
      contact_sheet.draw(found.samples, title).savefig(FLAGS.output)
    except OSError as error:
      sys.exit(f"Error: the contact sheet cannot be saved: {error}")
    print(f"  image      {FLAGS.output}")
  if found.problems:
    sys.exit(f"{len(found.problems)} checks failed.")
  print("  checks     all passed")


if __name__ == "__main__":
  main()
