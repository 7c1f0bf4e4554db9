"""Settings of a gin text, and differences between two texts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from gin import config_parser

from avssl_tf.errors import UserError


class ConfigurationError(UserError):
  """A configuration is invalid; the message states the reason and the remedy."""


@dataclasses.dataclass(frozen=True)
class Reference:
  """A configurable that a setting refers to, such as `@AVID` or `@ClipSpec()`."""

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
  """Makes gin's parser return placeholders, which do not require registered configurables."""

  def configurable_reference(self, scoped_configurable_name, evaluate):
    return Reference(f"@{scoped_configurable_name}{'()' if evaluate else ''}")

  def macro(self, macro_name):
    return Macro(macro_name)


@dataclasses.dataclass(frozen=True)
class Settings:
  """The settings of a gin text.

  Attributes:
    bindings: values by name, such as `"audio/MLPHead.name"`; may contain `Reference` and `Macro`.
    macros: values by the name of the macro.
  """

  bindings: Mapping[str, Any]
  macros: Mapping[str, Any]

  @classmethod
  def parse(cls, text: str) -> "Settings":
    """Parses a gin text, without the files that it includes."""
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
    """Scopes of the references, such as "audio" in `@audio/MLPHead()`."""
    return {scope for r in self.references() for scope in r.text[1:].split("/")[:-1]}

  def references(self) -> dict[Reference, str]:
    """The references, each with the name of a setting that contains it."""
    return {
      part: name
      for name, value in {**self.macros, **self.bindings}.items()
      for part in _parts(value)
      if isinstance(part, Reference)
    }

  def reachable(self, name: str) -> set[str]:
    """Names of the configurables that `name` refers to, directly or indirectly, and `name` itself.

    The names have no scopes and modules.
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
    """Names of the macros in use, each with the name of a setting that refers to it."""
    used = {}
    for name, value in {**self.macros, **self.bindings}.items():
      for part in _parts(value):
        if isinstance(part, Macro):
          used[part.name] = name
    return used

  def resolved(self) -> dict[str, Any]:
    """The bindings, with macros replaced by their values."""
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
    """Settings that differ from those of `other`: `{name: (here, there)}`.

    Settings that only one of the two contains are ignored: if only one uses a configurable, the
    setting that refers to it differs as well, and versions of the code may add parameters.
    References are an exception: gin omits those that are defaults. A missing reference counts as
    `DEFAULT`.
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
    """All settings, one per line, with macros replaced by their values."""
    names = sorted(self.bindings, key=lambda name: (name.split("/")[-1].lower(), name))
    resolved = self.resolved()
    return "\n".join(f"  {name} = {resolved[name]!r}" for name in names)


def configurable_name(text: str) -> str:
  """`@audio/models.projection.MLPHead()` -> `MLPHead`."""
  return text.strip("@()").split("/")[-1].split(".")[-1]


def included_files(text: str) -> list[str]:
  """Checks that a gin text only sets values.

  gin can import modules, which runs their code. Since configurations are shared together with runs,
  this function must be called with every text before gin parses it.

  Returns:
    Paths of the files that the text includes, in order.

  Raises:
    ConfigurationError: the text imports a module.
  """
  paths = []
  for statement in config_parser.ConfigParser(text, _Values()):
    if isinstance(statement, config_parser.ImportStatement):
      raise ConfigurationError(
        f"line {statement.location.line_num}: {statement.format()!r}. Gin files must not import "
        "modules: parsing a configuration from elsewhere must not run code. Remove the line; to "
        "use your own components, see docs/guides/trust.md."
      )
    if isinstance(statement, config_parser.IncludeStatement):
      paths.append(statement.filename)
  return paths


def _parts(value: Any):
  """Yields `value` and, if it is a container, all its elements."""
  yield value
  if isinstance(value, dict):
    value = list(value.values())
  if isinstance(value, (list, tuple)):
    for part in value:
      yield from _parts(part)
