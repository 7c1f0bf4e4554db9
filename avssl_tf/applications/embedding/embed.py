"""Features and embeddings of a folder of videos and sounds.

Every file is cut into windows of the network's own length. What is done is kept in parts beside the
output until all of it is there, so that an interrupted command goes on.
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
  """What to do; each field is a flag of the command, with its meaning."""

  input: str = flag("Folder of videos and sounds, of any depth; or one file.")
  output: str = flag("File to write (.npz): one row per window.")
  stride_sec: Optional[float] = flag(
    "From the start of a window to that of the next; by default, their length.", None
  )
  batch_size: int = flag("Windows that the network sees at once.", 16, at_least=1)
  overwrite: bool = flag(
    "Replace an output that is there, and parts of another network's.", False
  )
  audio_track: Optional[int] = flag(
    "Number of the sound track to take, from 1; by default the one that the file marks so.",
    None,
    at_least=1,
  )

  @property
  def parts_folder(self) -> str:
    """Where parts are kept until all are there."""
    return f"{self.output}.parts"

  @property
  def failures_path(self) -> str:
    """Where what is missing is listed."""
    return f"{os.path.splitext(self.output)[0]}.failures.jsonl"

  def check(self) -> None:
    """Makes sure, before all the work, that the flags make sense.

    Raises:
      UserError: one of them does not; the message names it.
    """
    if not os.path.exists(self.input):
      raise UserError(f"--input={self.input}: there is no such file or folder.")
    if self.stride_sec is not None and not self.stride_sec > 0:
      raise UserError(f"--stride_sec={self.stride_sec}; expected more than 0.")
    if self.batch_size < 1:
      raise UserError(f"--batch_size={self.batch_size}; expected 1 or more.")
    output_files.check("--output", self.output, (".npz",), self.input, self.overwrite)
    if os.path.lexists(self.failures_path) and not _lists_failures(self.failures_path):
      raise UserError(
        f"{self.failures_path} is there, and no list of failures that this command wrote, which "
        "would be replaced. Move it away, or choose another --output."
      )

  def sources(self) -> tuple[list[Source], list[str]]:
    """The files, sorted; those of a folder are told by what their names end in.

    Returns:
      The files, and notes on what was left out, lines for the user.

    Raises:
      UserError: there are none.
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
        f"--input={self.input}: no media in that folder. Looked for files that end in "
        f"{' '.join(sorted(VIDEO_EXTENSIONS | AUDIO_EXTENSIONS))}."
      )
    sources = [Source(name, path, embedding_parts.checksum(name, path)) for name, path in named]
    return sources, notes


def run(encoder: Encoder, weights: str, model_dir: str, job: Job) -> list[str]:
  """Embeds all files.

  Args:
    encoder: the network.
    weights: name and checksum of its weights.
    model_dir: where it is from.
    job: what to do; its `check` has passed.

  Returns:
    What was written and what is missing, lines for the user.

  Raises:
    UserError: there are no files, none can be read, or the folder of parts holds something else.
    UserError: the output cannot be written.
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
  if job.audio_track is not None:  # Absent otherwise: parts of versions without it resume.
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
        f"--input={job.input}: nothing of {len(sources)} file(s) could be embedded:\n"
        f"{describe_failures(failures)}\nAll are listed in {job.failures_path}."
      )
    with output_files.errors_named(job.output), whole_file(job.output) as temporary:
      embedding_file.join(temporary, part_paths, about)
    parts.delete()
  lines = [_summary(job), *notes, *embedding.notes]
  if num_before:
    lines.append(f"{num_before} file(s) of these were done before this command.")
  if failures:
    lines.append(f"Missing, as {job.failures_path} lists it:\n{describe_failures(failures)}")
  lines.append(f"{len(sources)} file(s) in {stopwatch.seconds:.1f} s.")
  return lines


def _lists_failures(path: str) -> bool:
  """Whether a file is one that `_list_failures` wrote."""
  if os.path.islink(path) or not os.path.isfile(path):
    return False
  names = {field.name for field in dataclasses.fields(Failure)}
  try:
    with open(path, encoding="utf-8") as file:
      return all(set(json.loads(line)) == names for line in file)
  except (ValueError, TypeError):
    return False


def _list_failures(job: Job, failures: Sequence[Failure]) -> None:
  """Writes what is missing, a JSON object a line; where nothing is, there is no such file."""
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
    f"Wrote {job.output}: {len(written.ids)} windows of {len(np.unique(written.ids))} file(s), "
    f"{counts['video']} with pictures and {counts['audio']} with sound."
  )
