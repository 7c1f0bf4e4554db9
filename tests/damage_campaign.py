"""Damages files at random, and reports how the commands handle them. Not part of the suite:

  python -m tests.damage_campaign --seed=0 --output_dir=/tmp/campaign

Media files of seven containers go through the build of records, the check of what was built, the
embedding of a folder and `spatialize`; damaged records, descriptions of data sets, checkpoints and
SavedModels go through the commands that read them. Each command should end by itself within the
time limit, without a traceback, and report what it could not use. The table shows how many did;
results.json in the folder has each case, with the command that repeats it.
"""

import os

# Before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# ruff: noqa: E402
import collections
import dataclasses
import glob
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from avssl_tf import arrays, checkpoint_files
from avssl_tf.data.records import schema
from avssl_tf.data.records.dataset_info import DatasetInfo
from tests import damaged_files, source_tree, tiny_generator, tiny_run

FLAGS = flags.FLAGS
flags.DEFINE_integer("seed", 0, "Decides what is damaged, and where.")
flags.DEFINE_integer("num_files", 500, "Damaged media files.", lower_bound=28)
flags.DEFINE_integer("num_panoramas", 56, "Damaged files for spatialize.", lower_bound=0)
flags.DEFINE_integer("num_each", 3, "Cases of each way of damage to each kind of other file.", 0)
flags.DEFINE_float("time_limit_sec", 300.0, "For a command about one case.")
flags.DEFINE_string("output_dir", None, "New folder for all that is made.", required=True)

# Ends of a command.
OK, REPORTED, TRACEBACK, CRASH, HANG = "ends well", "error", "traceback", "crash", "hang"
# Damage that is neither rejected nor reported.
SHORTENED, SILENT = "shortened silently", "accepted silently"
# Files without a stated length are recordings that may end anywhere.
SHORTER = "shorter, of a container that states no length"
_WITHOUT_LENGTH = ("ts", "mpg")
# More than what counts as truncated.
_TOLERANCE_SEC = 0.6


@dataclasses.dataclass
class Case:
  """The outcome of one damaged file, or of a command on many files.

  Attributes:
    kind: kind of the file.
    way: kind of damage.
    command: the words after `python`.
    outcome: one of the constants above, or the row of the table.
    text: the end of the output.
  """

  kind: str
  way: str
  command: list[str]
  outcome: str
  text: str = ""


def run(command: list[str], limit_sec: float) -> tuple[str, str]:
  """Runs Python in the root of the repository; returns its outcome and output."""
  environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
  try:
    done = subprocess.run(
      [sys.executable, *command], cwd=source_tree.ROOT, env=environment, text=True,
      errors="backslashreplace", timeout=limit_sec, check=False,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
  except subprocess.TimeoutExpired as error:
    return HANG, str(error.stdout)
  if "Traceback (most recent call last)" in done.stdout:
    return TRACEBACK, done.stdout
  if done.returncode not in (0, 1):
    return CRASH, f"status {done.returncode}\n{done.stdout}"
  return (REPORTED if done.returncode else OK), done.stdout


class Campaign:
  """All cases, in a separate folder."""

  def __init__(self, folder: str, seed: int):
    self.folder = os.path.abspath(folder)
    self.rng = np.random.default_rng(seed)
    self.cases: list[Case] = []
    os.makedirs(self.folder)
    self.records = self.path("records")
    self.model_dir = self.path("run")
    tiny_run.make_data(self.records)
    self.train_command = [
      "-m", "avssl_tf.train", "--gin_file=gin/avid.gin",
      *(f"--gin_param={line}" for line in tiny_run.GIN.strip().split("\n")),
      "--gin_param=train.probe=None", "--gin_param=train.memory_probe=None",
    ]  # fmt: skip
    self.must(self.train(self.records, self.model_dir))

  def path(self, *names: str) -> str:
    """A path in the folder."""
    return os.path.join(self.folder, *names)

  def train(self, data_dir: str, model_dir: str) -> list[str]:
    """The command that trains the smallest network."""
    return [*self.train_command, f'--gin_param=data_dir="{data_dir}"', f"--model_dir={model_dir}"]

  def must(self, command: list[str]) -> None:
    """Runs a command on intact files.

    Raises:
      RuntimeError: it fails.
    """
    outcome, text = run(command, 1200)
    if outcome != OK:
      raise RuntimeError(f"{command}: {outcome}\n{text}")

  def try_command(self, kind: str, way: str, command: list[str], limit_sec: float = 0) -> Case:
    """Runs a command and records its outcome."""
    outcome, text = run(command, limit_sec or FLAGS.time_limit_sec)
    case = Case(kind, way, command, outcome, text[-3000:])
    self.cases.append(case)
    return case

  def media(self, count: int) -> None:
    """Builds records of damaged media and embeds them."""
    folder, whole = self.path("media"), self.path("whole")
    self._write_damaged(folder, whole, count)
    options = ["--source=folder", "--num_workers=2", "--short_side=32", "--max_failure_rate=1"]
    built = self.path("built")
    self.must(
      ["tools/make_tfrecords.py", *options, f"--input_dir={whole}",
       f"--output_dir={self.path('built_whole')}"]
    )  # fmt: skip
    limit_sec = 60 + count * 10
    build = ["tools/make_tfrecords.py", *options, f"--input_dir={folder}", f"--output_dir={built}"]
    self.try_command("media", "build", build, limit_sec)
    inspect = ["tools/inspect_records.py", f"--data_dir={built}"]
    self.try_command("media", "inspect", inspect, limit_sec)
    failed = _failed(os.path.join(built, "failures.jsonl"))
    self._count_media("records", build, failed, _lengths(built), _lengths(self.path("built_whole")))
    output = self.path("embeddings.npz")
    embed = ["-m", "avssl_tf.apply", "embed", f"--model_dir={self.model_dir}", "--stride_sec=0.25"]
    self.must([*embed, f"--input={whole}", f"--output={self.path('whole.npz')}"])
    command = [*embed, f"--input={folder}", f"--output={output}"]
    self.try_command("media", "embed", command, limit_sec)
    reported = _failed(self.path("embeddings.failures.jsonl"))
    self._count_media(
      "embeddings", command, reported, _windows(output), _windows(self.path("whole.npz"))
    )

  def _write_damaged(self, folder: str, whole: str, count: int) -> None:
    os.makedirs(folder)
    os.makedirs(whole)
    kinds = [(way, name) for way in damaged_files.WAYS for name in damaged_files.CONTAINERS]
    for name in damaged_files.CONTAINERS:
      damaged_files.write_media(os.path.join(whole, f"whole.{name}"))
    for number in range(count):
      way, name = kinds[number % len(kinds)]
      path = os.path.join(folder, f"{number:04d}-{way}.{name}")
      shutil.copy(os.path.join(whole, f"whole.{name}"), path)
      damaged_files.damage(path, way, self.rng)

  def _count_media(self, kind, command, reported, lengths, whole) -> None:
    """Compares the outputs of each damaged file with those of an intact one."""
    for name in sorted(os.listdir(self.path("media"))):
      stem, extension = name.rsplit(".", 1)
      way = stem.split("-")[1]
      expected = whole[f"whole.{extension}"]
      if name in reported:
        outcome = REPORTED
      elif lengths.get(name, 0) < expected - _TOLERANCE_SEC:
        outcome = SHORTER if extension in _WITHOUT_LENGTH else SHORTENED
      else:
        outcome = "taken whole"
      found = f"{lengths.get(name, 0):.2f} of {expected:.2f} s"
      self.cases.append(Case(kind, way, [*command, name], outcome, found))

  def spatialize(self, count: int) -> None:
    """Generates sound fields for damaged 360° videos, one command each."""
    data_dir, model_dir = self.path("records360"), self.path("generator")
    worlds = ["--gin_file=gin/spatial_audio.gin", "--gin_param=SphericalWorld.num_train=16",
              "--gin_param=SphericalWorld.num_test=8"]  # fmt: skip
    self.must(["tools/make_tfrecords.py", "--source=demo360", f"--output_dir={data_dir}", *worlds])
    tiny = [f"--gin_param={binding}" for binding in tiny_generator.GIN_PARAMS]
    self.must([
      "-m", "avssl_tf.train", "--gin_file=gin/spatial_audio.gin", *tiny,
      f'--gin_param=data_dir="{data_dir}"', f"--model_dir={model_dir}",
    ])  # fmt: skip
    folder = self.path("panoramas")
    self._write_damaged(folder, self.path("whole_panoramas"), count)
    for name in sorted(os.listdir(folder)):
      output = self.path("fields", f"{name}.wav")
      os.makedirs(os.path.dirname(output), exist_ok=True)
      case = self.try_command("spatialize", name.split("-")[1].split(".")[0], [
        "-m", "avssl_tf.apply", "spatialize", f"--model_dir={model_dir}",
        f"--input={os.path.join(folder, name)}", f"--output={output}",
      ])  # fmt: skip
      if case.outcome == OK:
        # 8 kHz, four channels of four bytes.
        missing_sec = damaged_files.DURATION_SEC - os.path.getsize(output) / (8000 * 16)
        if any(word in case.text for word in ("Truncated", "Damaged")):
          case.outcome = REPORTED
        elif missing_sec > _TOLERANCE_SEC:
          case.outcome = SHORTER if name.endswith(_WITHOUT_LENGTH) else SHORTENED
        else:
          case.outcome = "taken whole"

  def others(self, each: int) -> None:
    """Damages records, descriptions, checkpoints and SavedModels, one at a time."""
    exported = self.path("exported")
    export = ["-m", "avssl_tf.export", f"--model_dir={self.model_dir}"]
    self.must([*export, f"--output_dir={exported}"])
    shards = [name for name in os.listdir(self.records) if name.endswith(".tfrecord")]
    description = ["dataset_info.json"]
    # Older ones are not read.
    latest = checkpoint_files.latest(os.path.join(self.model_dir, "checkpoints"))
    newest = [
      os.path.relpath(path, self.model_dir) for path in glob.glob(f"{glob.escape(latest)}.*")
    ]
    model_files = [
      os.path.relpath(os.path.join(root, name), exported)
      for root, _, names in os.walk(exported) for name in names
    ]  # fmt: skip
    commands = {
      "records": (self.records, shards, self._read_records),
      "dataset_info.json": (self.records, description, self._read_records),
      "checkpoint": (self.model_dir, newest, self._read_run),
      "SavedModel": (exported, model_files, self._read_saved_model),
    }
    for kind, (folder, names, read) in commands.items():
      for way in damaged_files.WAYS * each:
        copy = self.path("copy")
        shutil.copytree(folder, copy)
        damaged = damaged_files.damage_one(copy, names, way, self.rng)
        for command in read(copy):
          case = self.try_command(f"{kind}: {_name(command)}", way, command)
          case.text = f"{damaged}\n{case.text}"
          if case.outcome == OK:
            case.outcome = "warning" if _warns(case.text) else self._accepted(command)
        for leftover in (copy, self.path("out"), self.path("out.npz")):
          shutil.rmtree(leftover, ignore_errors=True)
          if os.path.isfile(leftover):
            os.remove(leftover)

  def _read_records(self, copy: str) -> list[list[str]]:
    return [
      ["tools/inspect_records.py", f"--data_dir={copy}"],
      self.train(copy, self.path("out")),
      self._evaluate(self.model_dir, copy),
    ]

  def _read_run(self, copy: str) -> list[list[str]]:
    longer = [*self.train(self.records, copy), "--gin_param=num_epochs=3"]
    return [self._evaluate(copy, self.records), longer]

  def _read_saved_model(self, copy: str) -> list[list[str]]:
    return [
      ["-m", "avssl_tf.apply", "embed", f"--model_dir={copy}", f"--output={self.path('out.npz')}",
       f"--input={self.path('whole', 'whole.mp4')}", "--stride_sec=0.25"],
    ]  # fmt: skip

  def _evaluate(self, model_dir: str, data_dir: str) -> list[str]:
    return [
      "-m", "avssl_tf.evaluate", "--task=knn", f"--model_dir={model_dir}",
      f"--data_dir={data_dir}", f"--output_dir={self.path('out', 'knn')}", "--overwrite",
    ]  # fmt: skip

  def _accepted(self, command: list[str]) -> str:
    """For a successful command: whether the damage changed its outputs."""
    if "embed" in command:
      with arrays.open_npz(self.path("out.npz")) as found:
        with arrays.open_npz(self.path("whole.npz")) as expected:
          rows = expected["id"] == "whole.mp4"
          same = all(
            np.allclose(found[name], expected[name][rows], atol=1e-5)
            for name in ("video_embeddings", "audio_embeddings")
          )
      return "no effect" if same else SILENT
    return SILENT

  def table(self) -> str:
    """Numbers of outcomes by kind of file and kind of damage."""
    rows = collections.defaultdict(collections.Counter)
    for case in self.cases:
      rows[f"{case.kind} / {case.way}"][case.outcome] += 1
    return "\n".join(
      f"{name:45s} {sum(counts.values()):4d}  "
      + ", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items()))
      for name, counts in rows.items()
    )

  def write(self) -> None:
    """Writes all cases."""
    with open(self.path("results.json"), "w", encoding="utf-8") as f:
      json.dump([dataclasses.asdict(case) for case in self.cases], f, indent=1)


def _name(command: list[str]) -> str:
  """A short name of a command."""
  if command[0] != "-m":
    return os.path.basename(command[0])
  return command[2] if command[1].endswith("apply") else command[1].rpartition(".")[2]


def _warns(text: str) -> bool:
  return any(word in text for word in ("Warning", "damaged", "PROBLEM"))


def _failed(path: str) -> set[str]:
  """Names of the files in a list of failures."""
  with open(path, encoding="utf-8") as f:
    return {os.path.basename(json.loads(line)["path"]) for line in f}


def _lengths(data_dir: str) -> dict[str, float]:
  """Total duration of the clips of each file in the records, in seconds."""
  info = DatasetInfo.load(data_dir)
  shards = [os.path.join(data_dir, s.file) for name in info.splits for s in info.shards(name)]
  found = collections.Counter()
  for record in tf.data.TFRecordDataset(shards):
    context = tf.train.SequenceExample.FromString(record.numpy()).context.feature
    name = context[schema.EXAMPLE_ID].bytes_list.value[0].decode().rpartition("@")[0]
    start, end = (context[key].int64_list.value[0] for key in (schema.CLIP_START, schema.CLIP_END))
    found[os.path.basename(name)] += (end - start) / 1e6
  return found


def _windows(path: str) -> dict[str, float]:
  """Duration of each file up to the end of its last window, in seconds."""
  with arrays.open_npz(path) as content:
    found = collections.Counter()
    for name, end_sec in zip(content["id"].tolist(), content["end_sec"].tolist()):
      found[os.path.basename(name)] = max(found[os.path.basename(name)], end_sec)
  return found


def main(argv) -> None:
  """Runs the campaign."""
  del argv
  started = time.monotonic()
  campaign = Campaign(FLAGS.output_dir, FLAGS.seed)
  try:
    campaign.media(FLAGS.num_files)
    campaign.spatialize(FLAGS.num_panoramas)
    campaign.others(FLAGS.num_each)
  finally:
    campaign.write()
    print(campaign.table())
    print(f"{time.monotonic() - started:.0f} s; seed {FLAGS.seed}. All cases: {campaign.folder}")


if __name__ == "__main__":
  app.run(main)
