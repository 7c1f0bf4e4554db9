"""Gin: reading the files, saying what is wrong with them, saving what was used."""

import difflib
import os
import re
from typing import List, Sequence

import gin
from absl import flags

# Registering happens at import: every module with a component that a gin file
# may name is imported here.
from avssl_tf.data import pipeline  # noqa: F401
from avssl_tf.data.synthetic import planar  # noqa: F401
from avssl_tf.evaluation import probe  # noqa: F401
from avssl_tf.losses import avid  # noqa: F401
from avssl_tf.models import audio_net, av_model, front_end, projection, r2plus1d  # noqa: F401
from avssl_tf.tasks import classification, instance_discrimination  # noqa: F401
from avssl_tf.training import optimizers, schedules, trainer  # noqa: F401

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OPERATIVE_CONFIG = "operative_config.gin"


class ConfigurationError(ValueError):
  """A gin file or parameter that cannot be used; the message says what to do."""


def define_flags() -> None:
  """Defines `--gin_file` and `--gin_param`, both repeatable."""
  flags.DEFINE_multi_string("gin_file", [], "Gin file; several compose, later ones win.")
  flags.DEFINE_multi_string(
    "gin_param", [], "Gin binding such as num_epochs=2, applied after the files."
  )


def parse(gin_files: Sequence[str], gin_params: Sequence[str]) -> None:
  """Reads gin files, then single bindings; replaces whatever was bound before.

  Includes are written from the repository's root and found from anywhere.

  Args:
    gin_files: paths; later files override earlier ones.
    gin_params: bindings such as `"num_epochs=2"`.

  Raises:
    ConfigurationError: a file is missing, or a name or value is not known; the
      message suggests the nearest known name.
  """
  gin.clear_config()
  gin.add_config_file_search_path(REPOSITORY)
  for path in gin_files:
    if not os.path.exists(path) and not os.path.exists(os.path.join(REPOSITORY, path)):
      raise ConfigurationError(f"--gin_file={path}: no such file. {_suggest_file(path)}")
  try:
    gin.parse_config_files_and_bindings(list(gin_files), _flatten(gin_params))
  except (ValueError, SyntaxError, TypeError, AttributeError, OSError) as error:
    raise ConfigurationError(f"{error}{_suggest_name(str(error))}") from error


def save_operative(model_dir: str) -> None:
  """Writes the bindings that were really used to `operative_config.gin`, atomically."""
  path = os.path.join(model_dir, OPERATIVE_CONFIG)
  with open(f"{path}.tmp", "w", encoding="utf-8") as f:
    f.write(gin.operative_config_str())
  os.replace(f"{path}.tmp", path)


def parse_operative(model_dir: str, gin_params: Sequence[str] = ()) -> None:
  """Reads the configuration of the run or converted checkpoint in `model_dir`.

  Raises:
    ConfigurationError: there is none, or it does not fit this version.
  """
  path = os.path.join(model_dir, OPERATIVE_CONFIG)
  if not os.path.exists(path):
    raise ConfigurationError(
      f"--model_dir={model_dir}: no {OPERATIVE_CONFIG} there. Expected the folder of a run "
      "(avssl_tf.train) or of a converted checkpoint (tools/convert_checkpoint.py)."
    )
  parse([path], gin_params)


def _flatten(gin_params: Sequence[str]) -> List[str]:
  return [line for param in gin_params for line in param.splitlines()]


def _suggest_file(path: str) -> str:
  folder = os.path.dirname(path) or "."
  if not os.path.isdir(folder):
    return f"There is no folder {folder!r} either."
  files = sorted(f for f in os.listdir(folder) if f.endswith(".gin"))
  return f"In {folder!r} there are: {', '.join(files) or 'no gin files'}."


def _suggest_name(message: str) -> str:
  known = {selector.split(".")[-1] for selector in _registered()} | {"train"}
  for name in re.findall(r"['\"]@?([\w./]+?)(?:\(\))?['\"]", message):
    close = difflib.get_close_matches(name.split("/")[-1].split(".")[0], known, n=3)
    if close and name not in known:
      return f"\nDid you mean {' or '.join(close)}?"
  return ""


def _registered() -> List[str]:
  # Gin has no public listing of what is registered.
  return list(gin.config._REGISTRY._selector_map)  # pylint: disable=protected-access
