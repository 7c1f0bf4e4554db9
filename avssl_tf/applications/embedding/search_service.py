"""Answers search queries line by line: the network and the index are loaded once.

A line is the path of a file, which is answered with a table and an empty line, or a JSON object
with flags of `search`, which is answered with one line of JSON: the results, or
`{"error": "..."}`.
"""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, Callable

from avssl_tf import errors, keys
from avssl_tf.applications.embedding import query_embedding, search, search_results
from avssl_tf.files import parse_json
from avssl_tf.foreign_text import printable

_NUMBER = (int, float)
# Flags of a query and the types of their values.
_TYPES = {
  "query": (str,), "query_modality": (str,), "find": (str,), "start_sec": _NUMBER,
  "end_sec": _NUMBER, "top": (int,), "all_windows": (bool,), "audio_track": (int,),
}  # fmt: skip
_CHOICES = {
  "query_modality": (query_embedding.AUTO, *keys.MODALITIES), "find": keys.MODALITIES
}  # fmt: skip


def serve(
  searched: search.Search, job: search.Job, lines: Iterable[str], answer: Callable[[str], None]
) -> int:
  """Answers queries until there are no more lines; an error in one query is its answer.

  Args:
    searched: the embeddings and the network.
    job: the job; its flags apply to queries that do not set them.
    lines: the queries; empty lines are ignored.
    answer: called with each answer, without its final line break.

  Returns:
    The number of queries.
  """
  count = 0
  for line in lines:
    text = line.strip()
    if not text:
      continue
    count += 1
    is_json = text.startswith("{")
    try:
      asked = _asked(text, job) if is_json else dataclasses.replace(job, query=text)
      asked.check_query()
      found = searched.find(asked)
    except Exception as error:
      of_user = errors.of_exception(error)
      if of_user is None:
        raise
      answer(json.dumps({"error": str(of_user)}) if is_json else f"Error: {_plain(of_user)}\n")
      continue
    if is_json:
      answer(json.dumps(search_results.as_dict(found.facts, found.results)))
    else:
      answer("\n".join(found.lines()) + "\n")
  return count


def _asked(text: str, job: search.Job) -> search.Job:
  """The job with the flags of a JSON object."""
  values: dict[str, Any] = parse_json(text, "The query")
  for name, value in values.items():
    if name not in _TYPES:
      raise errors.UserError(
        f"The query has {name!r}; expected names among {', '.join(_TYPES)}."
      )
    expected = _CHOICES.get(name)
    if type(value) not in _TYPES[name] or expected is not None and value not in expected:
      kinds = " or ".join(expected or (kind.__name__ for kind in _TYPES[name]))
      raise errors.UserError(f"The query has {name}={value!r}; expected {kinds}.")
  if "query" not in values:
    raise errors.UserError("The query has no 'query'; expected the path of a file.")
  return dataclasses.replace(job, **values)


def _plain(error: errors.UserError) -> str:
  return "\n".join(map(printable, str(error).split("\n")))
