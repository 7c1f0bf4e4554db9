"""The protocol that an evaluation follows: a gin file names it, settings tell what it measures."""

import abc
import dataclasses
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Union

import gin

from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.generator import Generator
from avssl_tf.inference.trained import Trained

_ADDED = "added"

# What protocols measure: an encoder, or generators of sound fields by name.
Subject = Union[Encoder, Mapping[str, Generator]]


class Protocol(abc.ABC):
  """Base of the protocols of evaluation, frozen dataclasses whose fields are their settings.

  Attributes:
    compares_parts: whether the parts of the results are compared with each other; else they are
      folds of one measurement, and their mean is of interest.
    others: folders of further networks that are measured on the same clips, by name.
  """

  compares_parts: ClassVar[bool] = False
  others: Mapping[str, str] = {}

  def subject(self, trained: Trained, others: Mapping[str, Trained]) -> Subject:
    """What is measured of trained networks: the encoder.

    Args:
      trained: the network.
      others: the networks in the folders of `others`, by name.

    Raises:
      UserError: a network is of another kind than the protocol measures.
    """
    del others
    return trained.encoder

  @abc.abstractmethod
  def __call__(
    self, network: Subject, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Measures a frozen network.

    Args:
      network: as `subject` returns it.
      data_dir: folder of the records.
      results: where the metrics go; parts that are there are not measured again.
      work_dir: folder of the protocol's own, for what it needs to resume when interrupted.
      progress: whether to show progress bars.
    """


@gin.configurable
def evaluate(
  network: Subject,
  data_dir: str,
  results: Results,
  work_dir: str,
  progress: bool = False,
  protocol: Protocol = gin.REQUIRED,
) -> None:
  """Measures a frozen network by the protocol that gin binds, such as `@KNN()`.

  Args:
    network: what `protocol` measures, see `Protocol.subject`.
    data_dir: folder of the records.
    results: as of `Protocol.__call__`.
    work_dir: as of `Protocol.__call__`.
    progress: whether to show progress bars.
    protocol: the protocol.
  """
  protocol(network, data_dir, results, work_dir, progress=progress)


def added_field(default: Any) -> Any:
  """A field of a protocol that earlier versions did not have, and worked as with `default`.

  At its default it is no part of `settings`, so that results of earlier versions can be completed.
  """
  return dataclasses.field(default=default, metadata={_ADDED: True})


def settings(protocol: Any, bindings: Mapping[str, Any]) -> dict[str, Any]:
  """All that a protocol's results depend on, defaults included.

  Args:
    protocol: a dataclass.
    bindings: what gin files and the command line set, by names such as `"KNN.num_neighbors"`.

  Returns:
    By such names, values that JSON can hold: the protocol's fields and the bindings of other
    parts. What JSON cannot hold, such as functions, is told by the text of its binding.
  """
  name = type(protocol).__name__
  bound = {_unqualified(key): value for key, value in bindings.items()}
  bound.pop("evaluate.protocol", None)
  found = {}
  for field in dataclasses.fields(protocol):
    key, value = f"{name}.{field.name}", getattr(protocol, field.name)
    if field.metadata.get(_ADDED) and value == field.default:
      bound.pop(key, None)
      continue
    if dataclasses.is_dataclass(value):
      value = dataclasses.asdict(value)
    if not _fits_json(value):
      value = repr(bound.get(key, getattr(value, "__qualname__", type(value).__name__)))
    found[key] = value
  others = {key: value if _fits_json(value) else repr(value) for key, value in bound.items()}
  return {**others, **found}


def _unqualified(name: str) -> str:
  """`audio/models.projection.MLPHead.widths` -> `audio/MLPHead.widths`."""
  scope, slash, selector = name.rpartition("/")
  return scope + slash + ".".join(selector.split(".")[-2:])


def _fits_json(value: Any) -> bool:
  try:
    json.dumps(value)
  except TypeError:
    return False
  return True
