"""Output folder of an evaluation: its layout, locking and clearing."""

import contextlib
import os
import re
from collections.abc import Iterator

from avssl_tf import own_files
from avssl_tf.evaluation import clip_journal, results
from avssl_tf.evaluation.audio_svm import stage_features
from avssl_tf.evaluation.classifiers import classifier_training
from avssl_tf.files import leftovers, locked_folder

RESULTS = "results.json"
CLIPS = "clips.csv"
_FILES = re.compile(r"results\.json|clips\.csv")
# Files that a protocol needs to resume.
WORK = "work"
_WORK_TREE: own_files.Tree = {
  clip_journal.PATTERN: None,
  stage_features.FOLDER: stage_features.TREE,
  r"\w+": classifier_training.TREE,
}
TREE: own_files.Tree = {r"results\.json": None, r"clips\.csv": None, WORK: _WORK_TREE}
_REMEDY = "Move it away, or choose another --output_dir."


def check(output_dir: str, *above: str) -> None:
  """Checks that an evaluation would not write through a link or over a foreign file.

  Args:
    output_dir: the output folder; it may itself be a link, since the user named it.
    *above: further folders that must not be links.

  Raises:
    ForeignFilesError: a folder is a link, or `clips.csv` exists and no evaluation wrote it.
  """
  clips, work = os.path.join(output_dir, CLIPS), os.path.join(output_dir, WORK)
  if os.path.exists(clips) and not clip_journal.is_journal(clips):
    raise own_files.ForeignFilesError(
      f"{clips} exists but was not written by an evaluation, so it is not overwritten. {_REMEDY}"
    )
  for path in (*above, work):
    own_files.check_no_link(path, _REMEDY)
  own_files.check_no_links(work, _WORK_TREE, _REMEDY)


@contextlib.contextmanager
def claimed(output_dir: str) -> Iterator[None]:
  """Creates and locks the folder; removes it at the end if it is still empty.

  Temporary results files of killed evaluations are deleted.

  Raises:
    FolderInUseError: another process evaluates in this folder.
  """
  message = (
    f"Another evaluation is running in {output_dir}. Wait for it to finish, or stop it first."
  )
  with locked_folder(output_dir, message):
    for path in leftovers(output_dir, _FILES):
      os.remove(path)
    yield


def clear(output_dir: str) -> None:
  """Deletes the results in a folder and its work folder, and nothing else.

  Raises:
    ForeignFilesError: the work folder contains other files, or the results file contains no
      results; nothing was deleted.
  """
  work, path = os.path.join(output_dir, WORK), os.path.join(output_dir, RESULTS)
  own_files.check_no_link(path, _REMEDY)
  if os.path.exists(path) and not results.is_results(path):
    raise own_files.ForeignFilesError(
      f"{path} contains no results of an evaluation, so it is not deleted. {_REMEDY}"
    )
  own_files.delete(work, _WORK_TREE, _REMEDY)
  if os.path.exists(path):
    os.remove(path)
