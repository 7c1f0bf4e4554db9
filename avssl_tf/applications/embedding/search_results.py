"""Results of a search: as lines for the user, and as JSON or CSV."""

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avssl_tf.foreign_text import printable, spreadsheet_cell


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


def ranked(
  similarities: np.ndarray, files: np.ndarray, start_sec: np.ndarray, end_sec: np.ndarray
) -> list[Result]:
  """Results from arrays `[n]`, the nearest first."""
  columns = zip(similarities, files, start_sec, end_sec)
  return [
    Result(rank, float(similarity), str(file), float(start), float(end))
    for rank, (similarity, file, start, end) in enumerate(columns, start=1)
  ]


def table(results: Sequence[Result]) -> list[str]:
  """The results as lines for the user."""
  places = [f"{result.start_sec:.1f}-{result.end_sec:.1f} s" for result in results]
  width = max(len("where"), *map(len, places))
  lines = [f"{'rank':>4}  similarity  {'where':>{width}}  file"]
  return lines + [
    f"{result.rank:>4}  {result.similarity:>10.3f}  {place:>{width}}  {printable(result.file)}"
    for result, place in zip(results, places)
  ]


def as_dict(facts: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
  """The results with facts about the search, as JSON-compatible values."""
  return {**facts, "results": [dataclasses.asdict(result) for result in results]}


def write(path: str, is_json: bool, facts: Mapping[str, Any], results: Sequence[Result]) -> None:
  """Writes the results to a JSON file with the facts, or to a CSV file without them."""
  encoding = {"encoding": "utf-8", "errors": "surrogateescape"}
  if is_json:
    with open(path, "w", **encoding) as file:
      json.dump(as_dict(facts, results), file, indent=1)
      file.write("\n")
    return
  with open(path, "w", newline="", **encoding) as file:
    writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Result)])
    writer.writeheader()
    rows = (dataclasses.asdict(result) for result in results)
    writer.writerows({**row, "file": spreadsheet_cell(row["file"])} for row in rows)
