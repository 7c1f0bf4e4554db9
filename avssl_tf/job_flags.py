"""Flags of a command from the fields of a dataclass that describes its job.

Each field is declared with `flag` and a help text. `define` defines the flags, and `parsed` creates
the object from the parsed flags.
"""

import collections.abc
import dataclasses
import typing
from collections.abc import Sequence
from typing import Any, Optional, TypeVar

from absl import flags

from avssl_tf import local_paths

# In --help, the flags belong to the command that calls `define`.
flags.disclaim_key_flags()

_METADATA = "flag"
_Job = TypeVar("_Job")


@dataclasses.dataclass(frozen=True)
class _Flag:
  """Metadata of a field: the arguments of `flag`."""

  help_text: str
  name: Optional[str]
  choices: Optional[Sequence[str]]
  at_least: Optional[float]


def flag(
  help_text: str,
  default: Any = dataclasses.MISSING,
  name: Optional[str] = None,
  choices: Optional[Sequence[str]] = None,
  at_least: Optional[float] = None,
) -> Any:
  """A dataclass field that defines a flag of the field's type.

  A string is a path, or one of `choices`. A sequence of paths is a repeatable flag.

  Args:
    help_text: help of the flag.
    default: default value; without a default, the flag is required.
    name: name of the flag; None: that of the field.
    choices: valid values of a string.
    at_least: minimum of a number.
  """
  return dataclasses.field(
    default=default, metadata={_METADATA: _Flag(help_text, name, choices, at_least)}
  )


def define(job: type, flag_values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the flags of a dataclass with fields from `flag`."""
  hints = typing.get_type_hints(job)
  for field in dataclasses.fields(job):
    is_required = field.default is dataclasses.MISSING
    default = None if is_required else field.default
    _define(_name(field), hints[field.name], default, field.metadata[_METADATA], flag_values)
    if is_required:
      flags.mark_flag_as_required(_name(field), flag_values)


def parsed(job: type[_Job], flag_values: flags.FlagValues = flags.FLAGS) -> _Job:
  """An object of the dataclass with the values of its flags."""
  return job(**{field.name: flag_values[_name(field)].value for field in dataclasses.fields(job)})


def _name(field: dataclasses.Field) -> str:
  return field.metadata[_METADATA].name or field.name


def _define(
  name: str, hint: Any, default: Any, of_field: _Flag, flag_values: flags.FlagValues
) -> None:
  kind = _kind(hint)
  bound = {"lower_bound": of_field.at_least, "flag_values": flag_values}
  if kind is bool:
    flags.DEFINE_bool(name, default, of_field.help_text, flag_values=flag_values)
  elif kind is int:
    flags.DEFINE_integer(name, default, of_field.help_text, **bound)
  elif kind is float:
    flags.DEFINE_float(name, default, of_field.help_text, **bound)
  elif of_field.choices is not None:
    flags.DEFINE_enum(
      name, default, of_field.choices, of_field.help_text, flag_values=flag_values
    )
  elif kind is str:
    local_paths.define_flag(name, default, of_field.help_text, flag_values=flag_values)
  elif typing.get_origin(kind) is collections.abc.Sequence:
    local_paths.define_multi_flag(name, [*default], of_field.help_text, flag_values=flag_values)
  else:
    raise TypeError(f"--{name}: flags of type {kind} are not supported.")


def _kind(hint: Any) -> Any:
  """`Optional[int]` -> `int`."""
  if typing.get_origin(hint) is typing.Union:
    (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
  return hint
