"""Embedding of a query: a media file or a part of it, reduced to one vector."""

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np
from sklearn.preprocessing import normalize

from avssl_tf import progress
from avssl_tf.applications.embedding.window_features import WindowFeatures
from avssl_tf.applications.media_windows import Plan, WindowReader, modalities_of
from avssl_tf.data.clip_content import Failure
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.errors import UserError
from avssl_tf.inference.encoder import Encoder

# Chooses the modality of the query by the streams of the file.
AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Query:
  """A query.

  Attributes:
    path: video, audio or image file.
    modality: `VIDEO`, `AUDIO` or `AUTO`.
    start_sec: start of the part to use.
    end_sec: end of the part to use; None: the end of the file.
    audio_track: number of the audio track, from 1; None: the default track.
  """

  path: str
  modality: str = AUTO
  start_sec: float = 0.0
  end_sec: Optional[float] = None
  audio_track: Optional[int] = None


class QueryEmbedder:
  """Embeds queries with one network; what the network needs is prepared once."""

  def __init__(self, encoder: Encoder):
    self._encoder = encoder
    self._features: Optional[WindowFeatures] = None
    self._readers: dict[Optional[int], WindowReader] = {}

  def prepare(self) -> None:
    """Runs the network once, which otherwise takes place with the first query."""
    if self._features is None:
      self._features = WindowFeatures(self._encoder)

  def plan(self, query: Query) -> Plan:
    """Plans the windows of a query, in its one modality.

    Raises:
      MediaError: the file cannot be read, or has no such part.
      UserError: it lacks the modality.
    """
    found = modalities_of(query.path)
    modality = found[0] if query.modality == AUTO else query.modality
    if modality not in found:
      raise UserError(
        f"--query={query.path} has no {modality} (--query_modality={modality}), only "
        f"{found[0]}."
      )
    reader = self._reader(query.audio_track)
    return reader.plan(
      query.path, reader.window_sec, [modality], query.start_sec, query.end_sec
    )

  def embed(self, query: Query, plan: Plan) -> np.ndarray:
    """Mean embedding of the windows of a query, normalised.

    Args:
      query: the query.
      plan: result of `plan`.

    Returns:
      float32 `[E]`, unit length.

    Raises:
      MediaError: no window can be read.
    """
    self.prepare()
    reader = self._reader(query.audio_track)
    name = f"{plan.modalities[0]}_embeddings"
    start_sec, sums, failures = plan.spans[0].start_sec, [], []
    duration_sec = plan.spans[-1].end_sec - start_sec
    with progress.Bar.of_seconds("query", duration_sec) as bar:
      for spans in reader.blocks(plan.spans):
        windows, failed = reader.read(plan, spans)
        failures += failed
        if windows:
          sums.append(self._features(windows)[name].sum(axis=0))
        bar.reach(spans[-1].end_sec - start_sec)
    if not sums:
      raise MediaError(_why_nothing(failures))
    return normalize(np.sum(sums, axis=0, keepdims=True))[0]

  def _reader(self, audio_track: Optional[int]) -> WindowReader:
    if audio_track not in self._readers:
      self._readers[audio_track] = WindowReader(self._encoder, audio_track)
    return self._readers[audio_track]


def _why_nothing(failures: Sequence[Failure]) -> str:
  return failures[0].reason if failures else "the audio is silent throughout"
