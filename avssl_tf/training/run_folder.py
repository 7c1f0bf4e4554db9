"""The folder of a run: what lies where in it, who may write there, and with which configuration."""

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

# The first file that a run writes: a folder with it holds a run.
OPERATIVE_CONFIG = "operative_config.gin"
CHECKPOINTS = "checkpoints"
# Those of `train.keep_epochs`, numbered by epoch.
KEPT_CHECKPOINTS = "kept_checkpoints"
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
  "train.keep_epochs",
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


# Earlier versions wrote files that they then renamed under names that end so.
_TMP = r"(\.tmp)?"
_EVALUATIONS: own_files.Tree = {r"[\w.-]+": output_folder.TREE}
_CLOUD = r"(video|audio|video_audio|audio_video)"
# What a run consists of.
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
  # By `avssl_tf.evaluate`, of the run and of its SavedModel.
  rf"({SAVED_MODEL}\.)?evaluation": _EVALUATIONS,
}
# What a training that was killed leaves; not of pages, which other commands may be writing.
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
  """Makes the folder of a run if need be, and keeps other processes from writing there.

  What killed processes left is swept.

  Raises:
    FileThereError: there is something else than a run in `model_dir`.
    OSError: the folder cannot be made or written.
    FolderInUseError: another process trains there.
    ForeignFilesError: a part of the run is a symbolic link.
  """
  message = (
    f"--model_dir={model_dir}: another process is training there. Wait for it, stop it, or name "
    "another folder."
  )
  with locked_folder(model_dir, message):
    _check(model_dir)
    own_files.empty(os.path.realpath(model_dir), _LEFTOVERS)
    yield


def _check(model_dir: str) -> None:
  """Makes sure that a folder is empty or that of a run, and can be written."""
  if not os.access(model_dir, os.W_OK | os.X_OK):
    raise UserError(f"--model_dir={model_dir}: no permission to write there.")
  others = [name for name in os.listdir(model_dir) if not name.startswith(OPERATIVE_CONFIG)]
  if others and not os.path.exists(os.path.join(model_dir, OPERATIVE_CONFIG)):
    raise FileThereError(
      f"--model_dir={model_dir} holds {sorted(others)[0]!r}, but no run: name an empty or a new "
      "folder."
    )
  # Of a run that was received, such a link may lead to files of anybody.
  own_files.check_no_links(
    os.path.realpath(model_dir),
    TREE,
    "Training would write there. Put the files themselves in the place of the link, or link the "
    "folder of the run as a whole.",
  )


def check_clearable(model_dir: str) -> None:
  """Makes sure that a folder holds nothing but a run.

  Raises:
    ForeignFilesError: it holds something that is no part of a run.
  """
  # The user named it, link or not.
  own_files.check(
    os.path.realpath(model_dir), TREE, "Move it away, or name another folder for the run."
  )


def clear(model_dir: str) -> None:
  """Deletes the run in `model_dir`; killed half-way, it still is the folder of a run.

  Raises:
    ForeignFilesError: as `check_clearable`; nothing was deleted.
  """
  check_clearable(model_dir)
  own_files.empty(os.path.realpath(model_dir), TREE, last=OPERATIVE_CONFIG)


def save_configuration(model_dir: str) -> None:
  """Writes the bindings that were really used, atomically."""
  path = os.path.join(model_dir, OPERATIVE_CONFIG)
  with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
    f.write(gin.operative_config_str())


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
  before = Settings.parse(text_files.read(path))
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
