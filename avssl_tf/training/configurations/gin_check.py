"""Finds errors that gin accepts: unused macros, misspelt parameters, values of a wrong type.

gin interprets `num_epoch = 2` as a new macro and passes on `train.batch_size = "abc"` unchecked. A
run would then ignore the setting, or fail late with an unclear error.
"""

import collections.abc
import difflib
import inspect
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Optional

import gin

from avssl_tf.training.configurations.settings import Macro, Reference, Settings, configurable_name

# Configurable functions of commands. No setting may refer to them: otherwise, parsing a
# configuration from elsewhere could start a training or an evaluation in any folder.
_COMMANDS = frozenset({"train", "evaluate"})
_NUMBERS = {int: (int,), float: (int, float)}
# Minimum similarity to a known parameter to be reported as a misspelling, even if the function
# accepts any name.
_MISSPELT = 0.8


def problems(settings: Settings, sources: Sequence[Settings]) -> list[str]:
  """Errors in a parsed configuration, one sentence each.

  Args:
    settings: the settings of `gin.config_str()`, after gin has accepted all names.
    sources: the files and bindings that it was parsed from. A macro or scope that only overridden
      settings use is not an error.
  """
  found = []
  used = settings.macros_used()
  for name in sorted(set(settings.macros).difference(*(s.macros_used() for s in sources))):
    hint = suggestion(name, [*used, *_parameters_called(name)])
    found.append(f"{name!r} is set, but nothing uses it.{hint}")
  for name, where in used.items():
    if name not in settings.macros and "." not in name:
      hint = suggestion(name, settings.macros)
      found.append(f"{where} = %{name}: no {name!r} is defined.{hint}")
  for reference, where in settings.references().items():
    name = configurable_name(reference.text)
    if name in _COMMANDS:
      found.append(
        f"{where} refers to {reference}, but @{name} is a command: expected a component."
      )
  # The name of a macro is a scope of the configurables that it creates.
  scopes = {*settings.macros}.union(*(source.scopes_used() for source in sources))
  for name, value in settings.resolved().items():
    scope, _, selector = name.rpartition("/")
    if scope and not scopes.issuperset(scope.split("/")):
      hint = suggestion(scope, scopes)
      found.append(f"{name} is set, but no @{scope}/{selector.split('.')[0]} is used.{hint}")
    found.extend(_problems_of_binding(name, value))
  return found


def unused(stages: Sequence[Settings], command: str) -> list[str]:
  """Bindings without effect on a command, one sentence each.

  A component is used if the command refers to it, directly or through other components. A binding
  that has an effect when it is set, and loses it by a later setting, is not an error.

  Args:
    stages: the settings of `gin.config_str()` after each file and binding, in order.
    command: name of the configurable function. Its caller passes all parameters except those that
      are `gin.REQUIRED`.
  """
  if not stages:
    return []
  useless: set[str] = set()
  before: Mapping[str, Any] = {}
  for stage in stages:
    bindings = stage.resolved()
    changed = {name for name in bindings if name not in before or bindings[name] != before[name]}
    useless = (useless | changed).intersection(_ineffective(stage, command))
    before = bindings
  if not useless:
    return []
  taken = _taken(stages[-1], command)
  sentences = []
  for name in sorted(useless):
    hint = suggestion(name.rpartition(".")[2], taken)
    sentences.append(f"{name} is set, but has no effect.{hint}")
  return [*sentences, f"Valid settings: {', '.join(taken)}."]


def _ineffective(settings: Settings, command: str) -> set[str]:
  """Names of the bindings without effect on the command."""
  reachable = settings.reachable(command)
  given = _given(settings, reachable, command)
  return {
    name
    for name in settings.bindings
    if configurable_name(name.rpartition(".")[0]) not in reachable
    or _unscoped(name) in given
  }


def _given(settings: Settings, reachable: Iterable[str], command: str) -> set[str]:
  """Parameters that the caller passes, which override values of gin."""
  given = {f"{command}.{name}" for name in _parameter_names(_function(command))}
  parameters = inspect.signature(_function(command)).parameters.values()
  given -= {f"{command}.{p.name}" for p in parameters if p.default is gin.REQUIRED}
  bindings = {_unscoped(name): value for name, value in settings.resolved().items()}
  for selector in reachable:
    for field, names in getattr(_configurable(selector), "gives", {}).items():
      value = bindings.get(f"{selector}.{field}")
      if isinstance(value, Reference):
        given |= {f"{configurable_name(value.text)}.{name}" for name in names}
  return given


def _taken(settings: Settings, command: str) -> list[str]:
  """Valid settings of a command: macros, and parameters of the components in use."""
  reachable = settings.reachable(command)
  given = _given(settings, reachable, command)
  parameters = [
    f"{selector}.{name}" for selector in reachable for name in _parameter_names(_function(selector))
  ]
  return [*sorted(settings.macros), *sorted(set(parameters) - given)]


def _unscoped(name: str) -> str:
  """`audio/models.projection.MLPHead.widths` -> `MLPHead.widths`."""
  return ".".join(name.rpartition("/")[2].split(".")[-2:])


def explain(message: str) -> str:
  """A suggestion for an error message of gin; "" if there is none."""
  parameter = re.search(r"'([\w./]+)' doesn't have a parameter named '(\w+)'", message)
  if parameter:
    function = _function(parameter[1])
    return suggestion(parameter[2], _parameter_names(function) if function else [])
  for name in re.findall(r"['\"]@?([\w./]+?)(?:\(\))?['\"]", message):
    selector = name.split("/")[-1].split(".")[-1]
    if selector not in _known_selectors():
      hint = suggestion(selector, _known_selectors())
      if hint:
        return hint
  if "malformed node" in message:
    return """ A string requires its own quotes, as in --gin_param='data_dir="my/records"'."""
  return ""


def suggestion(name: str, known: Iterable[str]) -> str:
  """` Did you mean ...?` with the nearest known names; "" if there are none."""
  close = difflib.get_close_matches(name, sorted(set(known)), n=2)
  # Also suggest the same name with another prefix.
  close += [k for k in known if k.split(".")[-1] == name and k not in close]
  return f" Did you mean {' or '.join(close[:3])}?" if close else ""


def _known_selectors() -> set[str]:
  # gin has no public list of registered configurables.
  selectors = gin.config._REGISTRY._selector_map  # pylint: disable=protected-access
  return {selector.split(".")[-1] for selector in selectors}


def _parameters_called(name: str) -> list[str]:
  """Parameters `name` of registered functions, such as `train.<name>`; `train` first."""
  found = [
    f"{selector}.{name}"
    for selector in _known_selectors() - {"macro", "constant", "singleton"}
    if name in _parameter_names(_function(selector))
  ]
  return sorted(found, key=lambda parameter: (not parameter.startswith("train."), parameter))


def _function(selector: str) -> Optional[Callable]:
  configurable = _configurable(selector)
  return configurable.__init__ if inspect.isclass(configurable) else configurable


def _configurable(selector: str) -> Optional[Callable]:
  try:
    return gin.get_configurable(selector.split("/")[-1])
  except (ValueError, KeyError):  # Ambiguous: registered by several modules.
    return None


def _parameter_names(function: Optional[Callable]) -> list[str]:
  if function is None:
    return []
  kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
  parameters = inspect.signature(function).parameters.values()
  return [p.name for p in parameters if p.kind in kinds and p.name != "self"]


def _problems_of_binding(name: str, value: Any) -> list[str]:
  selector, parameter = name.rpartition(".")[::2]
  function = _function(selector)
  if function is None:
    return []
  names = _parameter_names(function)
  if parameter not in names:
    # One of **kwargs: gin accepts any name, but the class may not.
    if difflib.get_close_matches(parameter, names, n=1, cutoff=_MISSPELT):
      hint = suggestion(parameter, names)
      return [f"{selector} has no parameter {parameter!r}.{hint}"]
  hint = typing.get_type_hints(function).get(parameter, Any)
  if _fits(value, hint):
    return []
  return [f"{name} is {value!r}; expected {_type_name(hint)}."]


def _fits(value: Any, hint: Any) -> bool:
  """Whether a literal has a type; a parameter without a type accepts all but mappings."""
  if isinstance(value, (Reference, Macro)):
    return True
  if hint is Any:
    return not _holds_mapping(value)
  origin, arguments = typing.get_origin(hint), typing.get_args(hint)
  if origin is typing.Union:
    return any(_fits(value, argument) for argument in arguments)
  if hint is type(None):
    return value is None
  if hint in _NUMBERS:
    return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
  if hint in (bool, str):
    return isinstance(value, hint)
  if origin in (collections.abc.Sequence, list):
    return isinstance(value, (list, tuple)) and all(_fits(v, arguments[0]) for v in value)
  if origin is tuple:
    if not isinstance(value, (list, tuple)):
      return False
    if len(arguments) == 2 and arguments[1] is Ellipsis:
      return all(_fits(v, arguments[0]) for v in value)
    return len(value) == len(arguments) and all(map(_fits, value, arguments))
  if origin is collections.abc.Callable or inspect.isclass(hint):
    # A function or an object: never a literal.
    return not isinstance(value, (bool, int, float, str, list, tuple, dict))
  return True


def _holds_mapping(value: Any) -> bool:
  """Whether a literal is or contains a mapping.

  Keras interprets a mapping as a serialised object and imports any module that it names.
  """
  if isinstance(value, (list, tuple)):
    return any(map(_holds_mapping, value))
  return isinstance(value, dict)


def _type_name(hint: Any) -> str:
  if hint is Any:
    return "no mapping"
  if hint is type(None):
    return "None"
  if hint in (int, float, bool, str):
    return hint.__name__
  if typing.get_origin(hint) is typing.Union:
    return " or ".join(_type_name(argument) for argument in typing.get_args(hint))
  if typing.get_origin(hint) is collections.abc.Callable:
    return "a reference such as @AVID"
  if inspect.isclass(hint) and not typing.get_args(hint):
    return f"a {hint.__name__}, such as @{hint.__name__}()"
  return re.sub(r"\b(typing|collections\.abc)\.", "", str(hint))
