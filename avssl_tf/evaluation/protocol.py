"""Base class of evaluation protocols, which gin files select and configure."""

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

# The networks that a protocol evaluates: an encoder, or generators of sound fields by name.
Subject = Union[Encoder, Mapping[str, Generator]]


class Protocol(abc.ABC):
  """Base class of evaluation protocols.

  A protocol is a frozen dataclass. Its fields are its settings.

  Attributes:
    compares_parts: whether the parts of the results are methods to compare. Otherwise they are
      folds, and the results include their mean.
    others: folders of additional networks to evaluate on the same clips, by name.

  Source:
    This project.
  """

  compares_parts: ClassVar[bool] = False
  others: Mapping[str, str] = {}

  def subject(self, trained: Trained, others: Mapping[str, Trained]) -> Subject:
    """Selects the part of the trained networks to evaluate; by default the encoder.

    Args:
      trained: the network.
      others: the networks in the folders of `others`, by name.

    Returns:
      The `network` argument of `__call__`: an `Encoder`, or `Generator`s by name.

    Raises:
      UserError: a network is of a kind that the protocol does not evaluate.
    """
    del others
    return trained.encoder

  @abc.abstractmethod
  def __call__(
    self, network: Subject, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Evaluates a frozen network.

    Args:
      network: the return value of `subject`.
      data_dir: folder of the records.
      results: receives the metrics; parts that it already contains are skipped.
      work_dir: folder for intermediate files, used to resume an interrupted evaluation.
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
  """Evaluates a frozen network with the protocol that gin binds, such as `@KNN()`.

  Args:
    network: the return value of `Protocol.subject`.
    data_dir: folder of the records.
    results: receives the metrics; parts that it already contains are skipped.
    work_dir: folder for intermediate files, used to resume an interrupted evaluation.
    progress: whether to show progress bars.
    protocol: the protocol.

  Source:
    This project.
  """
  protocol(network, data_dir, results, work_dir, progress=progress)


def added_field(default: Any) -> Any:
  """Declares a field that earlier versions lacked; `default` reproduces their behaviour.

  `settings` omits the field while it has its default, so results of earlier versions can be
  completed.
  """
  return dataclasses.field(default=default, metadata={_ADDED: True})


def settings(protocol: Any, bindings: Mapping[str, Any]) -> dict[str, Any]:
  """All settings that a protocol's results depend on, including defaults.

  Args:
    protocol: a dataclass.
    bindings: values from gin files and the command line, by names such as `"KNN.num_neighbors"`.

  Returns:
    JSON-serialisable values by such names: the protocol's fields and the bindings of other parts.
    Values that JSON does not support, such as functions, are replaced by the text of their binding.
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
