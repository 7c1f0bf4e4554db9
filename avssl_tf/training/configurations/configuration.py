"""Gin: reading files and bindings, and saying what is wrong with them."""

import contextlib
import dataclasses
import inspect
import os
import re
import tokenize
from collections.abc import Iterator, Sequence
from typing import Callable, Optional

import gin

import avssl_tf
from avssl_tf import local_paths, text_files
from avssl_tf.training import run_folder
from avssl_tf.training.configurations import gin_check, gin_names
from avssl_tf.training.configurations.settings import ConfigurationError, Settings, included_files

assert gin_names  # Imported for what it registers.

PACKAGE = os.path.dirname(os.path.abspath(avssl_tf.__file__))
# An installed package has the gin files inside, a checkout beside it.
_SHIPPED = os.path.join(PACKAGE, "shipped")
# Folder that holds `gin/`. Includes are written from there, and found from anywhere.
ROOT = _SHIPPED if os.path.isdir(_SHIPPED) else os.path.dirname(PACKAGE)
gin.add_config_file_search_path(ROOT)
# gin can be given more readers, but tries its own first, which takes a byte order mark for a name.
gin.config._FILE_READERS[:] = [(text_files.open_text, os.path.isfile)]


# More than any configuration needs; files that include each other twice and more multiply.
_MAX_FILES = 100
_BYTES = re.compile("[\udc80-\udcff]")


@dataclasses.dataclass(frozen=True)
class _GinFile:
  """A gin file to parse.

  Attributes:
    path: from here or from the folder that holds `gin/`.
    blamed: what error messages call it.
    may_include: whether it may include other files.
  """

  path: str
  blamed: str
  may_include: bool = True


def parse(
  gin_files: Sequence[str], gin_params: Sequence[str] = (), used_by: Optional[str] = None
) -> None:
  """Reads gin files, then single bindings; replaces whatever was bound before.

  Args:
    gin_files: paths, from here or from the folder that holds `gin/`; later files
      override earlier ones.
    gin_params: bindings such as `"num_epochs=2"`.
    used_by: name of the configurable function that all of it is for; None: bindings of components
      that nothing refers to are no mistake.

  Raises:
    ConfigurationError: a file is missing, a name is not known or a macro not
      used (the message suggests the nearest), a value has a wrong type, or a binding has no effect
      on `used_by` (the message says what has), or a value is an address, which no setting takes.
  """
  _parse([_GinFile(path, f"--gin_file={path}") for path in gin_files], gin_params, used_by)
  # Not those of an old run: its network can be used wherever its data was.
  settings = Settings.parse(gin.config_str())
  try:
    for name, value in {**settings.macros, **settings.bindings}.items():
      local_paths.check_values(name, value)
  except local_paths.PathError as error:
    raise ConfigurationError(str(error)) from error


def _parse(
  files: Sequence[_GinFile], gin_params: Sequence[str], used_by: Optional[str] = None
) -> None:
  gin.clear_config()
  sources, stages = [], []
  for file in files:
    sources.extend(_sources(file))
    _explained(gin.parse_config_file, file.path, file.blamed)
    stages.append(Settings.parse(gin.config_str()))
  for param in gin_params:
    flag = f"--gin_param={param}"
    # Names of files may hold bytes that are no text, which gin reads as escapes alone.
    param = _BYTES.sub(lambda found: ascii(found[0])[1:-1], param)
    if _explained(included_files, param, flag):
      raise ConfigurationError(f"{flag}: a parameter includes no file; use --gin_file.")
    sources.append(_explained(Settings.parse, param, flag))
    _explained(gin.parse_config, param, flag)
    stages.append(Settings.parse(gin.config_str()))
  problems = gin_check.problems(Settings.parse(gin.config_str()), sources)
  if used_by is not None and not problems:
    problems = gin_check.unused(stages, used_by)
  if problems:
    raise ConfigurationError("The configuration cannot be used:\n  " + "\n  ".join(problems))
  gin.finalize()


def check_complete(function: Callable) -> None:
  """Checks that a configurable function has a value for all that it requires.

  Raises:
    ConfigurationError: it has not; the message names what is missing.
  """
  name = function.__name__
  bound = gin.get_bindings(name, resolve_references=False)
  missing = [
    f"{name}.{parameter.name}"
    for parameter in inspect.signature(function).parameters.values()
    if parameter.default is gin.REQUIRED and parameter.name not in bound
  ]
  if missing:
    raise ConfigurationError(
      f"The configuration does not set {', '.join(missing)}. Begin with the file of a method, such "
      "as --gin_file=gin/avid.gin; files of gin/base and gin/scale complete one."
    )


def parse_operative(model_dir: str) -> None:
  """Reads the configuration of the run or converted checkpoint in `model_dir`.

  Raises:
    ConfigurationError: there is none, or it does not fit this version.
  """
  path = os.path.join(model_dir, run_folder.OPERATIVE_CONFIG)
  if not os.path.exists(path):
    raise ConfigurationError(
      f"--model_dir={model_dir}: no {run_folder.OPERATIVE_CONFIG} there. Expected the folder of a "
      "run (avssl_tf.train) or of a converted checkpoint (tools/convert_checkpoint.py)."
    )
  _parse([_GinFile(path, path, may_include=False)], [])


@contextlib.contextmanager
def present_kept() -> Iterator[None]:
  """Lets other gin configurations be read, from an empty one on; restores the present one."""
  present = gin.config_str()
  gin.clear_config()
  try:
    yield
  finally:
    gin.clear_config()
    gin.parse_config(present)


def _sources(file: _GinFile) -> list[Settings]:
  """What a gin file sets, and what each file sets that it includes, all of them checked.

  Raises:
    ConfigurationError: a file is missing or not understood, imports a module, includes itself, or
      includes another where it must not, or there are too many.
  """
  found, waiting = [], [(file.path, file.blamed, ())]
  while waiting:
    path, blamed, inside = waiting.pop()
    resolved = next((p for p in (path, os.path.join(ROOT, path)) if os.path.isfile(p)), None)
    if resolved is None:
      raise ConfigurationError(f"{blamed}: no such file. {_suggest_file(path)}")
    identity = os.path.realpath(resolved)
    if identity in inside:
      raise ConfigurationError(f"{blamed}: the file includes itself. Remove one of the includes.")
    if len(found) == _MAX_FILES:
      raise ConfigurationError(
        f"{file.blamed} includes more than {_MAX_FILES} files, repeats counted; expected fewer."
      )
    text = _explained(text_files.read, resolved, blamed)
    included = _explained(included_files, text, blamed)
    if included and not file.may_include:
      raise ConfigurationError(
        f"{blamed} includes {included[0]!r}; expected the whole configuration of a run, as "
        "avssl_tf.train writes it. Put the text of the included file in its place."
      )
    found.append(_explained(Settings.parse, text, blamed))
    waiting += [(other, f"{blamed} includes {other}", (*inside, identity)) for other in included]
  return found


def _explained(function: Callable, argument, blamed: str):
  """`function(argument)`, whose errors come with what is to blame and a suggestion."""
  try:
    return function(argument)
  except (RecursionError, MemoryError) as error:
    raise ConfigurationError(f"{blamed}: brackets are nested too deeply.") from error
  except tokenize.TokenError as error:  # A bracket or a text that is never closed.
    raise ConfigurationError(f"{blamed}: {error.args[0]}") from error
  except (ValueError, SyntaxError, TypeError, LookupError, NameError, AttributeError) as error:
    message = str(error).strip()
    hint = gin_check.explain(message).strip()
    raise ConfigurationError(f"{blamed}: {message}" + (hint and f"\n{hint}")) from error


def _suggest_file(path: str) -> str:
  folder = path if os.path.isdir(path) else os.path.dirname(path) or "."
  if not os.path.isdir(folder):
    return f"There is no folder {folder!r} either."
  files = sorted(f for f in os.listdir(folder) if f.endswith(".gin"))
  return f"In {folder!r} there are: {', '.join(files) or 'no gin files'}."
