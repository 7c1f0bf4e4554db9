"""Searches an embedding file with an audio, video or image query."""

import csv
import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Optional

import numpy as np
from sklearn.preprocessing import normalize

from avssl_tf import keys, progress
from avssl_tf.applications import output_files
from avssl_tf.applications.embedding.embedding_file import EmbeddingFile
from avssl_tf.applications.embedding.window_features import WindowFeatures
from avssl_tf.applications.media_windows import Plan, WindowReader, modalities_of
from avssl_tf.data.clip_content import Failure
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.errors import UserError
from avssl_tf.files import whole_file
from avssl_tf.foreign_text import printable, spreadsheet_cell
from avssl_tf.inference.encoder import Encoder
from avssl_tf.job_flags import flag

# Chooses the modality of the query by the streams of the file.
AUTO = "auto"
_OTHER = {keys.VIDEO: keys.AUDIO, keys.AUDIO: keys.VIDEO}
_CALLED = {keys.VIDEO: "video", keys.AUDIO: "audio"}


@dataclasses.dataclass(frozen=True)
class Job:
  """A search job; each field is a flag of the command."""

  index: str = flag("Embedding file written by `embed`.")
  query: str = flag("Video, audio or image file to search with.")
  query_modality: str = flag(
    "Modality of --query to use; auto: video if the file has any, otherwise audio.",
    AUTO,
    choices=(AUTO, *keys.MODALITIES),
  )
  find: Optional[str] = flag(
    "Modality to search; default: the other modality.", None, choices=keys.MODALITIES
  )
  start_sec: float = flag("Start of the part of --query to use, in seconds.", 0.0)
  end_sec: Optional[float] = flag(
    "End of the part of --query to use, in seconds; default: the end of the file.", None
  )
  top: int = flag("Number of results.", 10, at_least=1)
  all_windows: bool = flag("Rank all windows instead of the best window of each file.", False)
  output: Optional[str] = flag("Also write the results to this file (.json or .csv).", None)
  overwrite: bool = flag("Replace an existing output.", False)
  audio_track: Optional[int] = flag(
    "Number of the audio track to read, from 1; default: the default track of the file.",
    None,
    at_least=1,
  )

  def check(self) -> None:
    """Validates the flags before any work is done.

    Raises:
      UserError: a flag is invalid; the message states which one.
    """
    for name, path in (("--index", self.index), ("--query", self.query)):
      if not os.path.isfile(path):
        raise UserError(f"{name}={path}: no such file.")
    if self.top < 1:
      raise UserError(f"--top={self.top}; expected 1 or more.")
    if self.start_sec < 0:
      raise UserError(f"--start_sec={self.start_sec:g}; expected 0 or more.")
    if self.end_sec is not None and self.end_sec <= self.start_sec:
      raise UserError(
        f"--end_sec={self.end_sec:g}; expected more than --start_sec={self.start_sec:g}."
      )
    if self.output:
      endings = (".json", ".csv")
      output_files.check("--output", self.output, endings, self.query, self.overwrite)


@dataclasses.dataclass(frozen=True)
class Result:
  """A search result; the attributes are the columns of the outputs.

  Attributes:
    rank: rank, 1 for the nearest window.
    similarity: cosine similarity of the embeddings, -1..1.
    file: id of the file.
    start_sec: start of the window.
    end_sec: end of the window.
  """

  rank: int
  similarity: float
  file: str
  start_sec: float
  end_sec: float


def run(encoder: Encoder, weights: str, job: Job) -> list[str]:
  """Searches.

  Args:
    encoder: the network.
    weights: name and checksum of its weights.
    job: the job; its `check` has passed.

  Returns:
    The results, as lines for the user.

  Raises:
    UserError: the embeddings are from another network or lack the searched modality, the query
      cannot be read or lacks the query modality, or the output cannot be written.
  """
  index = EmbeddingFile.open(job.index)
  if index.about["weights"] != weights:
    raise UserError(
      f"--index={job.index} contains embeddings of another network, with weights "
      f"{index.about['weights']!r} (from --model_dir={index.about['model_dir']}); the weights of "
      f"--model_dir are {weights!r}. Pass that network, or embed the files again."
    )
  try:
    reader, plan = _open_query(encoder, job)
    modality = plan.modalities[0]
    find = job.find or _OTHER[modality]
    rows, embeddings = index.embeddings(find)
    if not len(rows):
      raise UserError(f"--index={job.index} has no {_CALLED[find]} (--find={find}) in any window.")
    query = _embed(encoder, reader, plan)
  except MediaError as error:
    raise UserError(f"--query={job.query}: {error}.") from error
  results = nearest(query, embeddings, rows, index, job.top, job.all_windows)
  if job.output:
    with output_files.errors_named(job.output), whole_file(job.output) as temporary:
      _write(temporary, job, modality, find, results)
  part = f"{plan.spans[0].start_sec:.2f} s to {plan.spans[-1].end_sec:.2f} s"
  heading = f"{_CALLED[find].capitalize()} windows in {job.index} nearest to the "
  notes = [f"Note: {note}." for note in plan.notes]
  return [*notes, f"{heading}{_CALLED[modality]} of {job.query}, {part}:", *_table(results)]


def nearest(
  query: np.ndarray,
  embeddings: np.ndarray,
  rows: np.ndarray,
  index: EmbeddingFile,
  top: int,
  all_windows: bool = False,
) -> list[Result]:
  """Finds the windows nearest to a query.

  Args:
    query: float32 `[E]`, unit length.
    embeddings: float32 `[M, E]`, unit length.
    rows: int64 `[M]`, rows of the embeddings in the index.
    index: embedding file.
    top: number of results.
    all_windows: whether to rank all windows instead of the best one of each file.

  Returns:
    At most `top` results, the nearest first; ties are in the order of the index.
  """
  similarities = np.clip(embeddings @ query, -1.0, 1.0)
  order = np.argsort(-similarities, kind="stable")
  if not all_windows:
    _, firsts = np.unique(index.ids[rows[order]], return_index=True)
    order = order[np.sort(firsts)]
  return [
    Result(
      rank=rank,
      similarity=float(similarities[i]),
      file=str(index.ids[rows[i]]),
      start_sec=float(index.start_sec[rows[i]]),
      end_sec=float(index.end_sec[rows[i]]),
    )
    for rank, i in enumerate(order[:top], start=1)
  ]


def _open_query(encoder: Encoder, job: Job) -> tuple[WindowReader, Plan]:
  """Plans the windows of the query in its modality."""
  found = modalities_of(job.query)
  modality = found[0] if job.query_modality == AUTO else job.query_modality
  if modality not in found:
    raise UserError(
      f"--query={job.query} has no {_CALLED[modality]} (--query_modality={modality}), only "
      f"{_CALLED[found[0]]}."
    )
  reader = WindowReader(encoder, job.audio_track)
  return reader, reader.plan(
    job.query, reader.window_sec, [modality], job.start_sec, job.end_sec
  )


def _embed(encoder: Encoder, reader: WindowReader, plan: Plan) -> np.ndarray:
  """Mean embedding of the windows of a query, normalised: float32 `[E]`."""
  features = WindowFeatures(encoder)
  name = f"{plan.modalities[0]}_embeddings"
  sums, failures = [], []
  with progress.Bar.of_seconds("query", plan.spans[-1].end_sec - plan.spans[0].start_sec) as bar:
    for spans in reader.blocks(plan.spans):
      windows, failed = reader.read(plan, spans)
      failures += failed
      if windows:
        sums.append(features(windows)[name].sum(axis=0))
      bar.reach(spans[-1].end_sec - plan.spans[0].start_sec)
  if not sums:
    raise MediaError(_why_nothing(failures))
  return normalize(np.sum(sums, axis=0, keepdims=True))[0]


def _why_nothing(failures: Sequence[Failure]) -> str:
  return failures[0].reason if failures else "the audio is silent throughout"


def _table(results: Sequence[Result]) -> list[str]:
  places = [f"{result.start_sec:.1f}-{result.end_sec:.1f} s" for result in results]
  width = max(len("where"), *map(len, places))
  lines = [f"{'rank':>4}  similarity  {'where':>{width}}  file"]
  return lines + [
    f"{result.rank:>4}  {result.similarity:>10.3f}  {place:>{width}}  {printable(result.file)}"
    for result, place in zip(results, places)
  ]


def _write(
  path: str, job: Job, modality: str, find: str, results: Sequence[Result]
) -> None:
  rows = [dataclasses.asdict(result) for result in results]
  encoding = {"encoding": "utf-8", "errors": "surrogateescape"}
  if job.output.lower().endswith(".json"):
    facts = {"index": job.index, "query": job.query, "query_modality": modality, "find": find}
    with open(path, "w", **encoding) as file:
      json.dump({**facts, "results": rows}, file, indent=1)
      file.write("\n")
    return
  with open(path, "w", newline="", **encoding) as file:
    writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Result)])
    writer.writeheader()
    writer.writerows({**row, "file": spreadsheet_cell(row["file"])} for row in rows)
