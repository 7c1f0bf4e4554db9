"""Features and embeddings of a folder of video and audio files.

Each file is cut into windows of the network's input length. Finished parts are kept next to the
output until all are done: rerun an interrupted command to resume it.
"""

import contextlib
import dataclasses
import functools
import glob
import os
from collections.abc import Sequence
from typing import Any, Callable, Optional

from avssl_tf import own_files, progress
from avssl_tf.applications import output_files
from avssl_tf.applications.embedding import (
  embedding_file,
  embedding_output,
  embedding_parts,
  embedding_shards,
  failure_list,
  file_embedding,
)
from avssl_tf.applications.embedding.file_embedding import Source, embed_in_worker
from avssl_tf.applications.embedding.window_features import WindowFeatures
from avssl_tf.applications.media_windows import WindowReader
from avssl_tf.data.building.failure_texts import describe_failures
from avssl_tf.data.clip_content import Failure
from avssl_tf.data.sources.listings.media_files import (
  AUDIO_EXTENSIONS,
  VIDEO_EXTENSIONS,
  MediaFiles,
)
from avssl_tf.engines import engine_choice
from avssl_tf.engines.engine import Engine, Monitor
from avssl_tf.errors import UserError
from avssl_tf.inference.encoder import Encoder
from avssl_tf.job_flags import flag
from avssl_tf.training import loading

_REMEDY = "Move it away, or choose another --output."
_FILES_PER_TASK = 16


@dataclasses.dataclass(frozen=True)
class Job:
  """An embedding job; each field is a flag of the command."""

  input: str = flag("Folder of video and audio files at any depth, or one file.")
  output: str = flag(
    "Output with one row per window: a file (.npz), or a folder of Parquet files (.parquet)."
  )
  stride_sec: Optional[float] = flag(
    "Time between the starts of consecutive windows; default: the window length.", None
  )
  batch_size: int = flag("Windows per batch.", 16, at_least=1)
  overwrite: bool = flag(
    "Replace an existing output, and parts made with other settings.", False
  )
  audio_track: Optional[int] = flag(
    "Number of the audio track to read, from 1; default: the default track of the file.",
    None,
    at_least=1,
  )

  engine: str = flag(
    engine_choice.ENGINE_HELP, engine_choice.LOCAL, choices=engine_choice.ENGINES
  )
  ray_address: Optional[str] = flag(engine_choice.RAY_ADDRESS_HELP, None)

  @property
  def is_parquet(self) -> bool:
    """Whether the output is a folder of Parquet files."""
    return self.output.lower().endswith(embedding_shards.EXTENSION)

  @property
  def parts_folder(self) -> str:
    """Folder of the finished parts."""
    return f"{self.output}.parts"

  @property
  def failures_path(self) -> str:
    """File that lists the failures."""
    return f"{os.path.splitext(self.output)[0]}.failures.jsonl"

  def check(self) -> None:
    """Validates the flags before any work is done.

    Raises:
      UserError: a flag is invalid; the message states which one.
    """
    if not os.path.exists(self.input):
      raise UserError(f"--input={self.input}: no such file or folder.")
    if self.stride_sec is not None and not self.stride_sec > 0:
      raise UserError(f"--stride_sec={self.stride_sec}; expected more than 0.")
    if self.batch_size < 1:
      raise UserError(f"--batch_size={self.batch_size}; expected 1 or more.")
    endings = (".npz", embedding_shards.EXTENSION)
    if self.is_parquet:
      embedding_shards.parquet(f"--output={self.output}")
    if not (self.is_parquet and self.overwrite and os.path.isdir(self.output)):
      output_files.check("--output", self.output, endings, self.input, self.overwrite)
    if self.is_parquet:
      own_files.check(self.output, embedding_shards.TREE, _REMEDY)
    if os.path.lexists(self.failures_path) and not failure_list.is_one(self.failures_path):
      raise UserError(
        f"{self.failures_path} exists but is not a list of failures by this command, and would be "
        "replaced. Move it away, or choose another --output."
      )

  def sources(self) -> tuple[list[Source], list[str]]:
    """Finds the input files, sorted; in a folder they are selected by file extension.

    Returns:
      The files, and notes on skipped folders, as lines for the user.

    Raises:
      UserError: there are no files.
    """
    notes = []
    if not os.path.isdir(self.input):
      named = [(os.path.basename(self.input), self.input)]
    else:
      files = MediaFiles(self.input, VIDEO_EXTENSIONS | AUDIO_EXTENSIONS)
      named = [(name, files.path(name)) for name in files.names]
      notes = files.notes
    if not named:
      raise UserError(
        f"--input={self.input}: no media files in that folder. Expected files with an "
        f"extension among {' '.join(sorted(VIDEO_EXTENSIONS | AUDIO_EXTENSIONS))}."
      )
    sources = [Source(name, path, embedding_parts.checksum(name, path)) for name, path in named]
    return sources, notes


def load_encoder(model_dir: str) -> Encoder:
  """Loads the encoder of a trained network; see `loading.load`."""
  return loading.load(model_dir).encoder


def run(
  encoder: Encoder,
  weights: str,
  model_dir: str,
  job: Job,
  load: Callable[[str], Encoder] = load_encoder,
) -> list[str]:
  """Embeds all files.

  Args:
    encoder: the network.
    weights: name and checksum of its weights.
    model_dir: folder that it was loaded from.
    job: the job; its `check` has passed.
    load: loads the network from `model_dir` in worker processes; a function of a module.

  Returns:
    A summary of the output and the failures, as lines for the user.

  Raises:
    UserError: there are no files, none can be read, the folder of parts contains something else, or
      the output cannot be written.
    WorkerError: the engine cannot run.
  """
  stopwatch = progress.Stopwatch()
  sources, notes = job.sources()
  reader = WindowReader(encoder, job.audio_track)
  settings = _settings(job, weights, reader)
  is_local = job.engine == engine_choice.LOCAL
  engine = engine_choice.choose(
    job.engine, 0 if is_local else os.cpu_count(), job.ray_address, uses_gpus=True
  )
  with embedding_parts.Parts(job.parts_folder, settings, job.overwrite) as parts, engine:
    todo = [source for source in sources if not parts.complete(source.checksum)]
    engine.check_files([parts.settings_path], _files_to_check(todo, model_dir))
    task = file_embedding.Task(
      (), parts.folder, settings["stride_sec"], job.batch_size, job.audio_track, model_dir, load
    )
    # This process has the network already.
    function = functools.partial(_embed_here, encoder, reader) if is_local else embed_in_worker
    tasks = _tasks(task, todo, len(todo) if is_local else _FILES_PER_TASK)
    embedded = file_embedding.Embedded()
    with progress.Bar.of_files("embedding", len(sources), len(sources) - len(todo)) as bar:
      with contextlib.closing(engine.run(function, tasks, bar.reach)) as finished:
        for _, result in finished:
          embedded.add(result)
      bar.reach(len(todo))
    parts.find()
    failures = _failures(job, parts, sources, embedded)
    about = _about(settings, model_dir, encoder, reader)
    written = _write(job, parts, sources, failures, about, engine, is_same=not todo)
    parts.delete()
  lines = [written, *notes, *embedded.notes]
  if len(todo) < len(sources):
    lines.append(f"{len(sources) - len(todo)} of these file(s) had been embedded before.")
  if failures:
    lines.append(f"Failures, listed in {job.failures_path}:\n{describe_failures(failures)}")
  lines.append(f"{len(sources)} file(s) in {stopwatch.seconds:.1f} s.")
  return lines


def _settings(job: Job, weights: str, reader: WindowReader) -> dict[str, Any]:
  """Settings that affect the embeddings."""
  settings = {
    "format": embedding_file.FORMAT,
    "weights": weights,
    "input": os.path.abspath(job.input),
    "stride_sec": job.stride_sec or reader.window_sec,
  }
  if job.audio_track is not None:  # Otherwise absent, to resume parts of versions without it.
    settings["audio_track"] = job.audio_track
  return settings


def _files_to_check(sources: Sequence[Source], model_dir: str) -> list[str]:
  """Files that each machine needs: one of each folder of the input, and those of the network."""
  of_folders = {os.path.dirname(source.path): source.path for source in sources}
  return [*of_folders.values(), *filter(os.path.isfile, glob.glob(f"{glob.escape(model_dir)}/*"))]


def _about(
  settings: dict[str, Any], model_dir: str, encoder: Encoder, reader: WindowReader
) -> dict[str, Any]:
  """Provenance of the embeddings."""
  clip = encoder.ordinary_clip
  return {
    **settings,
    "model_dir": os.path.abspath(model_dir),
    "window_sec": reader.window_sec,
    "video_sec": clip.video_sec,
    "audio_sec": clip.audio_sec,
  }


def _tasks(
  task: file_embedding.Task, sources: Sequence[Source], per_task: int
) -> list[file_embedding.Task]:
  """The task for each group of consecutive files."""
  return [
    dataclasses.replace(task, sources=sources[i : i + per_task])
    for i in range(0, len(sources), max(1, per_task))
  ]


def _embed_here(
  encoder: Encoder, reader: WindowReader, task: file_embedding.Task, monitor: Monitor
) -> file_embedding.Embedded:
  return file_embedding.FileEmbedding(reader, WindowFeatures(encoder), task, monitor).run()


def _write(
  job: Job,
  parts: embedding_parts.Parts,
  sources: Sequence[Source],
  failures: Sequence[Failure],
  about: dict[str, Any],
  engine: Engine,
  is_same: bool,
) -> str:
  """Writes the output from the finished parts, the same as before or not; returns a summary."""
  paths = [parts.paths(source.checksum) for source in sources]
  part_paths = [path for of_file in paths for path in of_file]
  if not part_paths:
    parts.delete()
    raise UserError(
      f"--input={job.input}: none of {len(sources)} file(s) could be embedded:\n"
      f"{describe_failures(failures)}\nAll failures are listed in {job.failures_path}."
    )
  if job.is_parquet:
    counts = embedding_output.write_shards(
      job.output, parts.shards_path, part_paths, about, engine, keep=is_same
    )
  else:
    counts = embedding_output.write_file(job.output, part_paths, about)
  return (
    f"Wrote {job.output}: {counts['rows']} windows of {sum(map(bool, paths))} file(s), "
    f"{counts['video']} with video and {counts['audio']} with audio."
  )


def _failures(
  job: Job,
  parts: embedding_parts.Parts,
  sources: Sequence[Source],
  embedded: file_embedding.Embedded,
) -> list[Failure]:
  """Lists all failures, sorted, in the file of the job."""
  failures = embedded.unread + [
    failure for source in sources for failure in parts.failures(source.checksum)
  ]
  failures.sort(key=lambda failure: (failure.path, failure.start_sec or 0.0))
  failure_list.write(job.failures_path, failures)
  return failures
