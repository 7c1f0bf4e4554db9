"""Features and embeddings of a folder of video and audio files.

Each file is cut into windows of the network's input length. Finished parts are kept next to the
output until all are done: rerun an interrupted command to resume it.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Optional

import numpy as np

from avssl_tf import progress
from avssl_tf.applications import output_files
from avssl_tf.applications.embedding import embedding_file, embedding_parts
from avssl_tf.applications.embedding.file_embedding import FileEmbedding, Source
from avssl_tf.applications.embedding.window_features import WindowFeatures
from avssl_tf.applications.media_windows import WindowReader
from avssl_tf.data.building.failure_texts import describe_failures
from avssl_tf.data.clip_content import Failure
from avssl_tf.data.sources.listings.media_files import (
  AUDIO_EXTENSIONS,
  VIDEO_EXTENSIONS,
  MediaFiles,
)
from avssl_tf.errors import UserError
from avssl_tf.files import whole_file
from avssl_tf.inference.encoder import Encoder
from avssl_tf.job_flags import flag


@dataclasses.dataclass(frozen=True)
class Job:
  """An embedding job; each field is a flag of the command."""

  input: str = flag("Folder of video and audio files at any depth, or one file.")
  output: str = flag("Output file (.npz) with one row per window.")
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
    output_files.check("--output", self.output, (".npz",), self.input, self.overwrite)
    if os.path.lexists(self.failures_path) and not _lists_failures(self.failures_path):
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


def run(encoder: Encoder, weights: str, model_dir: str, job: Job) -> list[str]:
  """Embeds all files.

  Args:
    encoder: the network.
    weights: name and checksum of its weights.
    model_dir: folder that it was loaded from.
    job: the job; its `check` has passed.

  Returns:
    A summary of the output and the failures, as lines for the user.

  Raises:
    UserError: there are no files, none can be read, the folder of parts contains something else, or
      the output cannot be written.
  """
  stopwatch = progress.Stopwatch()
  sources, notes = job.sources()
  reader = WindowReader(encoder, job.audio_track)
  stride_sec = job.stride_sec or reader.window_sec
  settings = {
    "format": embedding_file.FORMAT,
    "weights": weights,
    "input": os.path.abspath(job.input),
    "stride_sec": stride_sec,
  }
  if job.audio_track is not None:  # Otherwise absent, to resume parts of versions without it.
    settings["audio_track"] = job.audio_track
  clip = encoder.ordinary_clip
  about = {
    **settings,
    "model_dir": os.path.abspath(model_dir),
    "window_sec": reader.window_sec,
    "video_sec": clip.video_sec,
    "audio_sec": clip.audio_sec,
  }
  with embedding_parts.Parts(job.parts_folder, settings, job.overwrite) as parts:
    embedding = FileEmbedding(reader, WindowFeatures(encoder), parts, job.batch_size)
    num_before = sum(parts.complete(source.checksum) for source in sources)
    embedding.run(sources, stride_sec)
    failures = embedding.unread + [
      failure for source in sources for failure in parts.failures(source.checksum)
    ]
    failures.sort(key=lambda failure: (failure.path, failure.start_sec or 0.0))
    _list_failures(job, failures)
    part_paths = [path for source in sources for path in parts.paths(source.checksum)]
    if not part_paths:
      parts.delete()
      raise UserError(
        f"--input={job.input}: none of {len(sources)} file(s) could be embedded:\n"
        f"{describe_failures(failures)}\nAll failures are listed in {job.failures_path}."
      )
    with output_files.errors_named(job.output), whole_file(job.output) as temporary:
      embedding_file.join(temporary, part_paths, about)
    parts.delete()
  lines = [_summary(job), *notes, *embedding.notes]
  if num_before:
    lines.append(f"{num_before} of these file(s) had been embedded before.")
  if failures:
    lines.append(f"Failures, listed in {job.failures_path}:\n{describe_failures(failures)}")
  lines.append(f"{len(sources)} file(s) in {stopwatch.seconds:.1f} s.")
  return lines


def _lists_failures(path: str) -> bool:
  """Whether a file was written by `_list_failures`."""
  if os.path.islink(path) or not os.path.isfile(path):
    return False
  names = {field.name for field in dataclasses.fields(Failure)}
  try:
    with open(path, encoding="utf-8") as file:
      return all(set(json.loads(line)) == names for line in file)
  except (ValueError, TypeError):
    return False


def _list_failures(job: Job, failures: Sequence[Failure]) -> None:
  """Writes the failures, one JSON object per line; without failures, deletes the file."""
  if not failures:
    with contextlib.suppress(FileNotFoundError):
      os.remove(job.failures_path)
    return
  with output_files.errors_named(job.failures_path), whole_file(job.failures_path) as temporary:
    with open(temporary, "w", encoding="utf-8") as file:
      file.writelines(json.dumps(dataclasses.asdict(failure)) + "\n" for failure in failures)


def _summary(job: Job) -> str:
  written = embedding_file.EmbeddingFile.open(job.output)
  counts = {m: len(written.embeddings(m)[0]) for m in ("video", "audio")}
  return (
    f"Wrote {job.output}: {written.num_rows} windows of {len(np.unique(written.ids))} file(s), "
    f"{counts['video']} with video and {counts['audio']} with audio."
  )
