"""Searches embeddings with audio, video or image queries: one query, or as many as are asked."""

import dataclasses
import os
from typing import Any, Optional

from avssl_tf import keys
from avssl_tf.applications import output_files
from avssl_tf.applications.embedding import query_embedding, search_results
from avssl_tf.applications.embedding.exact_search import ExactSearch
from avssl_tf.applications.embedding.opened_embeddings import has_shards, open_embeddings
from avssl_tf.applications.embedding.query_embedding import AUTO, QueryEmbedder
from avssl_tf.applications.embedding.search_index import SearchIndex
from avssl_tf.applications.embedding.search_results import Result
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.errors import UserError
from avssl_tf.files import whole_file
from avssl_tf.inference.encoder import Encoder
from avssl_tf.job_flags import flag

_OTHER = {keys.VIDEO: keys.AUDIO, keys.AUDIO: keys.VIDEO}


@dataclasses.dataclass(frozen=True)
class Job:
  """A search job; each field is a flag of the command."""

  index: str = flag(
    "Embedding file or folder of Parquet shards, written by `embed`, or folder written by `index`."
  )
  query: Optional[str] = flag("Video, audio or image file to search with.", None)
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
  serve: bool = flag(
    "Read queries from standard input, one per line, instead of --query: the path of a file, or a "
    'JSON object with flags, {"query": "a.wav", "top": 5}, which is answered in JSON.',
    False,
  )

  def check(self) -> None:
    """Validates the flags before any work is done.

    Raises:
      UserError: a flag is invalid; the message states which one.
    """
    if not os.path.exists(self.index):
      raise UserError(f"--index={self.index}: no such file or folder.")
    if self.serve:
      for name, value in (("--query", self.query), ("--output", self.output)):
        if value is not None:
          raise UserError(f"{name}={value} with --serve; expected one of both.")
      return
    if self.query is None:
      raise UserError("Neither --query nor --serve is set; expected one of both.")
    self.check_query()
    if self.output:
      endings = (".json", ".csv")
      output_files.check("--output", self.output, endings, self.query, self.overwrite)

  def check_query(self) -> None:
    """Validates the flags that describe the query.

    Raises:
      UserError: see `check`.
    """
    if not os.path.isfile(self.query):
      raise UserError(f"--query={self.query}: no such file.")
    if self.top < 1:
      raise UserError(f"--top={self.top}; expected 1 or more.")
    if self.start_sec < 0:
      raise UserError(f"--start_sec={self.start_sec:g}; expected 0 or more.")
    if self.end_sec is not None and self.end_sec <= self.start_sec:
      raise UserError(
        f"--end_sec={self.end_sec:g}; expected more than --start_sec={self.start_sec:g}."
      )


@dataclasses.dataclass(frozen=True)
class Found:
  """The results of one query.

  Attributes:
    job: the job with the query.
    modality: the modality of the query that was used.
    find: the modality that was searched.
    results: the results.
    notes: remarks on how the query is read.
    start_sec: start of the part of the query that was used.
    end_sec: end of that part.
  """

  job: Job
  modality: str
  find: str
  results: list[Result]
  notes: list[str]
  start_sec: float
  end_sec: float

  @property
  def facts(self) -> dict[str, Any]:
    """Facts about the search, as JSON-compatible values."""
    return {
      "index": self.job.index,
      "query": self.job.query,
      "query_modality": self.modality,
      "find": self.find,
    }

  def lines(self) -> list[str]:
    """The results as lines for the user."""
    heading = f"{self.find.capitalize()} windows in {self.job.index} nearest to the "
    part = f"{self.start_sec:.2f} s to {self.end_sec:.2f} s"
    return [
      *(f"Note: {note}." for note in self.notes),
      f"{heading}{self.modality} of {self.job.query}, {part}:",
      *search_results.table(self.results),
    ]


class Search:
  """Embeddings and the network that made them, loaded once for any number of queries."""

  def __init__(self, encoder: Encoder, weights: str, index: str):
    """Opens the embeddings.

    Args:
      encoder: the network.
      weights: name and checksum of its weights.
      index: path of an embedding file, of Parquet shards or of a search index.

    Raises:
      UserError: the embeddings cannot be read, or are from another network.
    """
    self._embedder = QueryEmbedder(encoder)
    if os.path.isdir(index) and not has_shards(index):
      self._embeddings = SearchIndex(index)
    else:
      self._embeddings = ExactSearch(open_embeddings(index))
    about = self._embeddings.about
    if about["weights"] != weights:
      raise UserError(
        f"--index={index} contains embeddings of another network, with weights "
        f"{about['weights']!r} (from --model_dir={about['model_dir']}); the weights of "
        f"--model_dir are {weights!r}. Pass that network, or embed the files again."
      )

  def prepare(self) -> None:
    """Prepares the network, so that the first query takes as long as the others."""
    self._embedder.prepare()

  def find(self, job: Job) -> Found:
    """Searches with the query of a job.

    Raises:
      UserError: the query cannot be read or lacks the query modality, or the embeddings lack the
        searched modality.
    """
    query = query_embedding.Query(
      job.query, job.query_modality, job.start_sec, job.end_sec, job.audio_track
    )
    try:
      plan = self._embedder.plan(query)
      modality = plan.modalities[0]
      find = job.find or _OTHER[modality]
      if not self._embeddings.has(find):
        raise UserError(f"--index={job.index} has no {find} (--find={find}) in any window.")
      vector = self._embedder.embed(query, plan)
    except MediaError as error:
      raise UserError(f"--query={job.query}: {error}.") from error
    results = self._embeddings.nearest(vector, find, job.top, job.all_windows)
    notes, spans = list(plan.notes), plan.spans
    return Found(job, modality, find, results, notes, spans[0].start_sec, spans[-1].end_sec)


def run(encoder: Encoder, weights: str, job: Job) -> list[str]:
  """Searches with one query.

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
  found = Search(encoder, weights, job.index).find(job)
  if job.output:
    is_json = job.output.lower().endswith(".json")
    with output_files.errors_named(job.output), whole_file(job.output) as temporary:
      search_results.write(temporary, is_json, found.facts, found.results)
  return found.lines()
