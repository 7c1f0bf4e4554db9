"""Gin configurations as text: every setting with its value, and what differs between two."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from gin import config_parser

from avssl_tf.errors import UserError


class ConfigurationError(UserError):
  """A configuration that cannot be used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Reference:
  """A configurable that a setting names, such as `@AVID` or `@ClipSpec()`."""

  text: str

  def __repr__(self) -> str:
    return self.text


@dataclasses.dataclass(frozen=True)
class Macro:
  """A macro that a setting refers to, such as `%batch_size`."""

  name: str

  def __repr__(self) -> str:
    return f"%{self.name}"


DEFAULT = Reference("(default)")


class _Values(config_parser.ParserDelegate):
  """Lets the parser of gin make our own placeholders, which need nothing registered."""

  def configurable_reference(self, scoped_configurable_name, evaluate):
    return Reference(f"@{scoped_configurable_name}{'()' if evaluate else ''}")

  def macro(self, macro_name):
    return Macro(macro_name)


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a gin text sets.

  Attributes:
    bindings: values by name, such as `"audio/MLPHead.name"`; with `Reference`
      and `Macro` in them.
    macros: values by the name of the macro.
  """

  bindings: Mapping[str, Any]
  macros: Mapping[str, Any]

  @classmethod
  def parse(cls, text: str) -> "Settings":
    """Reads gin text, without what it includes."""
    bindings, macros = {}, {}
    for statement in config_parser.ConfigParser(text, _Values()):
      if not isinstance(statement, config_parser.BindingStatement):
        continue
      scope, selector = statement.scope, statement.selector
      if statement.arg_name:
        key = f"{scope}/{selector}" if scope else selector
        bindings[f"{key}.{statement.arg_name}"] = statement.value
      else:
        macros[f"{scope}/{selector}" if scope else selector] = statement.value
    return cls(bindings, macros)

  def scopes_used(self) -> set[str]:
    """Scopes in which configurables are referred to, as "audio" in `@audio/MLPHead()`."""
    return {scope for r in self.references() for scope in r.text[1:].split("/")[:-1]}

  def references(self) -> dict[Reference, str]:
    """The configurables that are referred to, each with the name of a setting that does."""
    return {
      part: name
      for name, value in {**self.macros, **self.bindings}.items()
      for part in _parts(value)
      if isinstance(part, Reference)
    }

  def reachable(self, name: str) -> set[str]:
    """Names of the configurables that `name` refers to, and those that these refer to, and so on.

    Names are without scopes and modules; `name` is one of them.
    """
    references: dict[str, set[str]] = {}
    for key, value in self.resolved().items():
      names = {configurable_name(p.text) for p in _parts(value) if isinstance(p, Reference)}
      references.setdefault(configurable_name(key.rpartition(".")[0]), set()).update(names)
    found, waiting = {name}, [name]
    while waiting:
      new = references.get(waiting.pop(), set()) - found
      found |= new
      waiting += new
    return found

  def macros_used(self) -> dict[str, str]:
    """Names of the macros that are referred to, each with a setting that does."""
    used = {}
    for name, value in {**self.macros, **self.bindings}.items():
      for part in _parts(value):
        if isinstance(part, Macro):
          used[part.name] = name
    return used

  def resolved(self) -> dict[str, Any]:
    """The bindings with the values of macros in their place."""
    return {name: self._resolve(value, ()) for name, value in self.bindings.items()}

  def _resolve(self, value: Any, inside: tuple[str, ...]) -> Any:
    if isinstance(value, Macro) and value.name in self.macros and value.name not in inside:
      return self._resolve(self.macros[value.name], (*inside, value.name))
    if isinstance(value, (list, tuple)):
      return type(value)(self._resolve(part, inside) for part in value)
    if isinstance(value, dict):
      return {key: self._resolve(part, inside) for key, part in value.items()}
    return value

  def differences(self, other: "Settings") -> dict[str, tuple[Any, Any]]:
    """Settings with other values in `other`: `{name: (here, there)}`.

    What only one of the two has is left out: a configurable that only one uses is named by a
    setting of both, and versions of the code may add parameters. But gin writes down a
    function only where a file names it, not where it is a default: this counts as `DEFAULT`.
    """
    here, there = self.resolved(), other.resolved()
    found = {}
    for name in sorted({*here, *there}):
      values = here.get(name, DEFAULT), there.get(name, DEFAULT)
      comparable = name in here and name in there
      if not comparable:
        configurable = name.rpartition(".")[0] + "."
        in_both = all(any(n.startswith(configurable) for n in side) for side in (here, there))
        comparable = in_both and isinstance({**here, **there}[name], Reference)
      if comparable and values[0] != values[1]:
        found[name] = values
    return found

  def table(self) -> str:
    """All settings, a line each, with the values of macros in their place."""
    names = sorted(self.bindings, key=lambda name: (name.split("/")[-1].lower(), name))
    resolved = self.resolved()
    return "\n".join(f"  {name} = {resolved[name]!r}" for name in names)


def configurable_name(text: str) -> str:
  """`@audio/models.projection.MLPHead()` -> `MLPHead`."""
  return text.strip("@()").split("/")[-1].split(".")[-1]


def included_files(text: str) -> list[str]:
  """Checks that gin text sets values and does nothing else.

  gin can import modules, which runs their code. Configurations are passed around with runs, so
  this has to be called with every text before gin parses it.

  Returns:
    Paths of the files that the text includes, in order.

  Raises:
    ConfigurationError: the text imports a module.
  """
  paths = []
  for statement in config_parser.ConfigParser(text, _Values()):
    if isinstance(statement, config_parser.ImportStatement):
      raise ConfigurationError(
        f"line {statement.location.line_num}: {statement.format()!r}. Gin files import nothing, so "
        "that reading a configuration of somebody else runs no code. Remove the line; to use "
        "components of your own, see docs/guides/trust.md."
      )
    if isinstance(statement, config_parser.IncludeStatement):
      paths.append(statement.filename)
  return paths


def _parts(value: Any):
  """Yields `value` and, if it is a container, all that is in it."""
  yield value
  if isinstance(value, dict):
    value = list(value.values())
  if isinstance(value, (list, tuple)):
    for part in value:
      yield from _parts(part)
