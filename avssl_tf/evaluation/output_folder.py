"""The folder that an evaluation writes: what lies where in it, and clearing it."""

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
# What a protocol needs to resume.
WORK = "work"
_WORK_TREE: own_files.Tree = {
  clip_journal.PATTERN: None,
  stage_features.FOLDER: stage_features.TREE,
  r"\w+": classifier_training.TREE,
}
TREE: own_files.Tree = {r"results\.json": None, r"clips\.csv": None, WORK: _WORK_TREE}
_REMEDY = "Move it away, or name another --output_dir."


def check(output_dir: str, *above: str) -> None:
  """Makes sure that an evaluation would write nothing through a link or over a foreign file.

  Args:
    output_dir: the folder itself may be a link, which the user named.
    *above: folders that must be none either.

  Raises:
    ForeignFilesError: one is a link, or there is a list of clips that no evaluation wrote.
  """
  clips, work = os.path.join(output_dir, CLIPS), os.path.join(output_dir, WORK)
  if os.path.exists(clips) and not clip_journal.is_journal(clips):
    raise own_files.ForeignFilesError(
      f"{clips} is there, and no list of clips that an evaluation wrote: it is left alone. "
      f"{_REMEDY}"
    )
  for path in (*above, work):
    own_files.check_no_link(path, _REMEDY)
  own_files.check_no_links(work, _WORK_TREE, _REMEDY)


@contextlib.contextmanager
def claimed(output_dir: str) -> Iterator[None]:
  """Makes the folder if need be, and keeps other evaluations out; what stays empty goes again.

  What killed evaluations left of results is swept.

  Raises:
    FolderInUseError: another process evaluates there.
  """
  message = f"Another evaluation is at work in {output_dir}. Wait for it."
  with locked_folder(output_dir, message):
    for path in leftovers(output_dir, _FILES):
      os.remove(path)
    yield


def clear(output_dir: str) -> None:
  """Deletes the results in a folder, and work on others; nothing else.

  Raises:
    ForeignFilesError: there is something else in the folder for work, or in the place of the
      results; nothing was deleted.
  """
  work, path = os.path.join(output_dir, WORK), os.path.join(output_dir, RESULTS)
  own_files.check_no_link(path, _REMEDY)
  if os.path.exists(path) and not results.is_results(path):
    raise own_files.ForeignFilesError(
      f"{path} holds no results that an evaluation wrote: it is left alone. {_REMEDY}"
    )
  own_files.delete(work, _WORK_TREE, _REMEDY)
  if os.path.exists(path):
    os.remove(path)
