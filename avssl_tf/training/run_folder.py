"""Layout, locking and configuration of a run folder."""

import contextlib
import os
import re
from collections.abc import Iterator

import gin

from avssl_tf import checkpoint_files, own_files, text_files
from avssl_tf.errors import FileThereError, UserError
from avssl_tf.evaluation import output_folder
from avssl_tf.files import locked_folder, whole_file
from avssl_tf.inference import saved_model_folder
from avssl_tf.training.configurations.settings import ConfigurationError, Settings

# The first file that a run writes: its presence marks a run folder.
OPERATIVE_CONFIG = "operative_config.gin"
CHECKPOINTS = "checkpoints"
# Checkpoints of `train.keep_epochs`, numbered by epoch.
KEPT_CHECKPOINTS = "kept_checkpoints"
METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"
SAVED_MODEL = "saved_model"
REPORT = "report.html"
# Video id of each row of the memory banks, one per line.
VIDEO_IDS = "video_ids.txt"

# Settings that may change when a run is resumed: its length, learning rates, data location and
# monitoring. After any other change, no single configuration would describe how the weights and the
# memory banks were obtained.
CHANGEABLE = (
  "train.num_epochs",
  "train.data_dir",
  "train.schedule",
  "train.probe",
  "train.probe_every_epochs",
  "train.memory_probe",
  "train.checkpoint_every_steps",
  "train.checkpoint_every_minutes",
  "train.keep_epochs",
  "train.log_every_steps",
  "train.batch_pictures",
  "Probe.",
  "MemoryProbe.",
  "AlignmentProbe.",
  "GenerationProbe.",
  "DemoData.",
  "cosine.",
  "step_decay.",
  "Adam.",
  "AdamW.",
  "LAMB.",
  "SGD.",
)


# Suffix of the temporary files of earlier versions.
_TMP = r"(\.tmp)?"
_EVALUATIONS: own_files.Tree = {r"[\w.-]+": output_folder.TREE}
_CLOUD = r"(video|audio|video_audio|audio_video)"
# The files of a run.
TREE: own_files.Tree = {
  rf"{re.escape(OPERATIVE_CONFIG)}{_TMP}": None,
  CHECKPOINTS: checkpoint_files.TREE,
  KEPT_CHECKPOINTS: checkpoint_files.TREE,
  rf"{re.escape(METRICS)}{_TMP}": None,
  TENSORBOARD: {
    r"events\.out\.tfevents\..+": None,
    r"projector_config\.pbtxt": None,
    "projector": {rf"{_CLOUD}(\.tsv|_metadata\.tsv|_sprite\.jpg)": None},
  },
  **saved_model_folder.tree_of(SAVED_MODEL),
  re.escape(REPORT): None,
  rf"{re.escape(VIDEO_IDS)}{_TMP}": None,
  # Written by `avssl_tf.evaluate`, for the run and for its SavedModel.
  rf"({SAVED_MODEL}\.)?evaluation": _EVALUATIONS,
}
# Temporary files of killed training processes. Those of pages are not listed: other commands may be
# writing them.
_OWN = "|".join(map(re.escape, (OPERATIVE_CONFIG, METRICS, VIDEO_IDS)))
_LEFTOVERS: own_files.Tree = {
  rf"({_OWN})\.tmp(-\d+)?": None,
  CHECKPOINTS: checkpoint_files.LEFTOVERS,
  KEPT_CHECKPOINTS: checkpoint_files.LEFTOVERS,
  TENSORBOARD: {
    r"projector_config\.pbtxt\.tmp-\d+": None,
    "projector": {rf"{_CLOUD}(\.tsv|_metadata\.tsv|_sprite\.jpg)\.tmp-\d+": None},
  },
}


@contextlib.contextmanager
def claimed(model_dir: str) -> Iterator[None]:
  """Creates the folder of a run if it does not exist, and locks it against other processes.

  Temporary files of killed processes are deleted.

  Raises:
    FileThereError: `model_dir` contains something other than a run.
    UserError: no permission to write in the folder.
    OSError: the folder cannot be created.
    FolderInUseError: another process is training there.
    ForeignFilesError: a part of the run is a symbolic link.
  """
  message = (
    f"--model_dir={model_dir}: another process is training there. Wait for it to "
    "finish, stop it, or choose another folder."
  )
  with locked_folder(model_dir, message):
    _check(model_dir)
    own_files.empty(os.path.realpath(model_dir), _LEFTOVERS)
    yield


def _check(model_dir: str) -> None:
  """Checks that a folder is writable, and empty or a run folder without links."""
  if not os.access(model_dir, os.W_OK | os.X_OK):
    raise UserError(f"--model_dir={model_dir}: no permission to write there.")
  others = [name for name in os.listdir(model_dir) if not name.startswith(OPERATIVE_CONFIG)]
  if others and not os.path.exists(os.path.join(model_dir, OPERATIVE_CONFIG)):
    raise FileThereError(
      f"--model_dir={model_dir} contains {sorted(others)[0]!r}, but no run: choose an empty or "
      "a new folder."
    )
  # In a run from elsewhere, a link may point to any file.
  own_files.check_no_links(
    os.path.realpath(model_dir),
    TREE,
    "Training would write there. Replace the link with the files themselves, or link the whole "
    "folder of the run.",
  )


def check_clearable(model_dir: str) -> None:
  """Checks that a folder contains only files of a run.

  Raises:
    ForeignFilesError: it contains other files.
  """
  # The folder itself may be a link: the user specified it.
  own_files.check(
    os.path.realpath(model_dir), TREE, "Move it away, or choose another --model_dir."
  )


def clear(model_dir: str) -> None:
  """Deletes the run in `model_dir`; if interrupted, the folder is still recognised as a run.

  Raises:
    ForeignFilesError: see `check_clearable`; nothing was deleted.
  """
  check_clearable(model_dir)
  own_files.empty(os.path.realpath(model_dir), TREE, last=OPERATIVE_CONFIG)


def save_configuration(model_dir: str) -> None:
  """Writes the operative gin configuration, atomically."""
  path = os.path.join(model_dir, OPERATIVE_CONFIG)
  with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
    f.write(gin.operative_config_str())


def check_unchanged(model_dir: str) -> str:
  """Compares the current configuration with that of the run in `model_dir`.

  Returns:
    The changes, one per line; "" if there are none or the run is new.

  Raises:
    ConfigurationError: a setting changed that must not change within a run.
  """
  path = os.path.join(model_dir, OPERATIVE_CONFIG)
  if not os.path.exists(path):
    return ""
  before = Settings.parse(text_files.read(path))
  changes = before.differences(Settings.parse(gin.operative_config_str()))
  lines = {name: f"  {name}: {old!r} -> {new!r}" for name, (old, new) in changes.items()}
  refused = [line for name, line in lines.items() if not _may_change(name)]
  if refused:
    raise ConfigurationError(
      f"The run in {model_dir} was started with another configuration (then -> now):\n"
      + "\n".join(refused)
      + "\nTo resume the run, use its own configuration. To train with this one, choose "
      "another --model_dir (train.init_from initialises a new run from this one), or pass "
      "--overwrite to delete the run."
    )
  return "\n".join(lines.values())


def _may_change(name: str) -> bool:
  name = name.rpartition("/")[2]
  return any(
    name.startswith(known) if known.endswith(".") else name == known for known in CHANGEABLE
  )
