"""The folder of a run: what lies where in it, who may write there, and with which configuration."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator

import gin

from avssl_tf.training.settings import ConfigurationError, Settings

# The first file that a run writes: a folder with it holds a run.
OPERATIVE_CONFIG = "operative_config.gin"
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"
SAVED_MODEL = "saved_model"
REPORT = "report.html"
# Id of the video that each row of the memory banks stands for, a line each.
VIDEO_IDS = "video_ids.txt"

# What may change between two parts of a run: how long and how fast it learns, where its data
# lies, and how it is watched. Anything else would make of the weights and of the memory
# something that no single configuration describes.
CHANGEABLE = (
  "train.num_epochs",
  "train.data_dir",
  "train.schedule",
  "train.probe",
  "train.probe_every_epochs",
  "train.memory_probe",
  "train.checkpoint_every_steps",
  "train.log_every_steps",
  "train.batch_pictures",
  "Probe.",
  "MemoryProbe.",
  "AlignmentProbe.",
  "DemoData.",
  "cosine.",
  "step_decay.",
  "Adam.",
  "AdamW.",
  "LAMB.",
)


@contextlib.contextmanager
def claimed(model_dir: str) -> Iterator[None]:
  """Makes the folder of a run if need be, and keeps other processes from writing there.

  Raises:
    FileExistsError: there is something else than a run in `model_dir`.
    OSError: the folder cannot be made or written.
    ConfigurationError: another process trains there.
  """
  os.makedirs(model_dir, exist_ok=True)
  if not os.access(model_dir, os.W_OK | os.X_OK):
    raise PermissionError(f"--model_dir={model_dir}: no permission to write there.")
  others = [name for name in os.listdir(model_dir) if not name.startswith(OPERATIVE_CONFIG)]
  if others and not os.path.exists(os.path.join(model_dir, OPERATIVE_CONFIG)):
    raise FileExistsError(
      f"--model_dir={model_dir} holds {sorted(others)[0]!r}, but no run: name an empty or a new "
      "folder."
    )
  # The lock of the folder itself leaves no file behind, and goes when the process is killed.
  descriptor = os.open(model_dir, os.O_RDONLY)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError as error:
    os.close(descriptor)
    raise ConfigurationError(
      f"--model_dir={model_dir}: another process is training there. Wait for it, stop it, or name "
      "another folder."
    ) from error
  except OSError:
    # A file system without locks: nothing guards the folder, which is no reason not to train.
    pass
  try:
    yield
  finally:
    os.close(descriptor)


def clear(model_dir: str) -> None:
  """Deletes the run in `model_dir`; killed half-way, it still is the folder of a run."""
  last = os.path.join(model_dir, OPERATIVE_CONFIG)
  for name in os.listdir(model_dir):
    path = os.path.join(model_dir, name)
    if os.path.isdir(path) and not os.path.islink(path):
      shutil.rmtree(path)
    elif path != last:
      os.remove(path)
  if os.path.exists(last):
    os.remove(last)


def save_configuration(model_dir: str) -> None:
  """Writes the bindings that were really used, atomically."""
  path = os.path.join(model_dir, OPERATIVE_CONFIG)
  with open(f"{path}.tmp", "w", encoding="utf-8") as f:
    f.write(gin.operative_config_str())
  os.replace(f"{path}.tmp", path)


def check_unchanged(model_dir: str) -> str:
  """Compares the configuration in use with the one that the run in `model_dir` began with.

  Returns:
    What changed, a line each; "" where nothing did or the run is new.

  Raises:
    ConfigurationError: something changed that must not within a run.
  """
  path = os.path.join(model_dir, OPERATIVE_CONFIG)
  if not os.path.exists(path):
    return ""
  with open(path, encoding="utf-8") as f:
    before = Settings.parse(f.read())
  changes = before.differences(Settings.parse(gin.operative_config_str()))
  lines = {name: f"  {name}: {old!r} -> {new!r}" for name, (old, new) in changes.items()}
  refused = [line for name, line in lines.items() if not _may_change(name)]
  if refused:
    raise ConfigurationError(
      f"The run in {model_dir} was begun with another configuration (then -> now):\n"
      + "\n".join(refused)
      + "\nTo go on with it, use its own. To train with this one, name another --model_dir (with "
      "train.init_from, a new run begins with what this one knows), or pass --overwrite to delete "
      "the run."
    )
  return "\n".join(lines.values())


def _may_change(name: str) -> bool:
  name = name.rpartition("/")[2]
  return any(
    name.startswith(known) if known.endswith(".") else name == known for known in CHANGEABLE
  )
