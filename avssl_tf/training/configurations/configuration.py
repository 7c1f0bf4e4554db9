"""Gin: parsing files and bindings, and reporting errors in them."""

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

assert gin_names  # Imported to register configurables.

PACKAGE = os.path.dirname(os.path.abspath(avssl_tf.__file__))
# An installed package contains the gin files; in a checkout they are next to it.
_SHIPPED = os.path.join(PACKAGE, "shipped")
# Folder that contains `gin/`. Includes are relative to it and resolved from any working directory.
ROOT = _SHIPPED if os.path.isdir(_SHIPPED) else os.path.dirname(PACKAGE)
gin.add_config_file_search_path(ROOT)
# gin accepts additional readers, but tries its own first, which fails on a byte order mark.
gin.config._FILE_READERS[:] = [(text_files.open_text, os.path.isfile)]


# More than any configuration requires; repeated includes multiply the number of files.
_MAX_FILES = 100
_BYTES = re.compile("[\udc80-\udcff]")


@dataclasses.dataclass(frozen=True)
class _GinFile:
  """A gin file to parse.

  Attributes:
    path: relative to the working directory or to the folder that contains `gin/`.
    blamed: its name in error messages.
    may_include: whether it may include other files.
  """

  path: str
  blamed: str
  may_include: bool = True


def parse(
  gin_files: Sequence[str], gin_params: Sequence[str] = (), used_by: Optional[str] = None
) -> None:
  """Parses gin files, then single bindings; replaces the current configuration.

  Args:
    gin_files: paths, relative to the working directory or to the folder that contains `gin/`; later
      files override earlier ones.
    gin_params: bindings such as `"num_epochs=2"`.
    used_by: name of the configurable function that must use every binding; None: bindings of
      components that nothing refers to are accepted.

  Raises:
    ConfigurationError: a file is missing, a name is unknown or a macro is not used (the message
      suggests the nearest names), a value has a wrong type, a binding has no effect on `used_by`
      (the message lists valid names), or a value is an address such as `gs://...`.
  """
  _parse([_GinFile(path, f"--gin_file={path}") for path in gin_files], gin_params, used_by)
  # Not checked for a saved run: its network can be used wherever its data was.
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
    # File names may contain bytes that are not valid text; gin reads these only as escapes.
    param = _BYTES.sub(lambda found: ascii(found[0])[1:-1], param)
    if _explained(included_files, param, flag):
      raise ConfigurationError(f"{flag}: a binding cannot include a file; use --gin_file.")
    sources.append(_explained(Settings.parse, param, flag))
    _explained(gin.parse_config, param, flag)
    stages.append(Settings.parse(gin.config_str()))
  problems = gin_check.problems(Settings.parse(gin.config_str()), sources)
  if used_by is not None and not problems:
    problems = gin_check.unused(stages, used_by)
  if problems:
    raise ConfigurationError("The configuration is invalid:\n  " + "\n  ".join(problems))
  gin.finalize()


def check_complete(function: Callable) -> None:
  """Checks that all required parameters of a configurable function are set.

  Raises:
    ConfigurationError: a parameter is not set; the message lists all of them.
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
      f"The configuration does not set {', '.join(missing)}. Start from the file of a method, such "
      "as --gin_file=gin/avid.gin; files of gin/base and gin/scale extend it."
    )


def parse_operative(model_dir: str) -> None:
  """Parses the configuration of the run or converted checkpoint in `model_dir`.

  Raises:
    ConfigurationError: there is none, or it is not valid for this version.
  """
  path = os.path.join(model_dir, run_folder.OPERATIVE_CONFIG)
  if not os.path.exists(path):
    raise ConfigurationError(
      f"--model_dir={model_dir} does not contain {run_folder.OPERATIVE_CONFIG}. Expected the "
      "folder of a run (avssl_tf.train) or of a converted checkpoint "
      "(tools/convert_checkpoint.py)."
    )
  _parse([_GinFile(path, path, may_include=False)], [])


@contextlib.contextmanager
def present_kept() -> Iterator[None]:
  """Clears the gin configuration within a block, and restores it afterwards."""
  present = gin.config_str()
  gin.clear_config()
  try:
    yield
  finally:
    gin.clear_config()
    gin.parse_config(present)


def _sources(file: _GinFile) -> list[Settings]:
  """Settings of a gin file and of each file that it includes, all of them checked.

  Raises:
    ConfigurationError: a file is missing or invalid, imports a module, includes itself, or includes
      a file although it must not; or there are too many files.
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
        f"{blamed} includes {included[0]!r}; expected the complete configuration of a run, as "
        "written by avssl_tf.train. Replace the include with the text of the file."
      )
    found.append(_explained(Settings.parse, text, blamed))
    waiting += [(other, f"{blamed} includes {other}", (*inside, identity)) for other in included]
  return found


def _explained(function: Callable, argument, blamed: str):
  """`function(argument)`, with errors that name the source and suggest a correction."""
  try:
    return function(argument)
  except (RecursionError, MemoryError) as error:
    raise ConfigurationError(f"{blamed}: brackets are nested too deeply.") from error
  except tokenize.TokenError as error:  # A bracket or a string is not closed.
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
  return f"Files in {folder!r}: {', '.join(files) or 'no gin files'}."
