"""The folder that an evaluation writes: what lies where in it, and clearing it."""

import os

from avssl_tf import own_files
from avssl_tf.evaluation import classifier_training, clip_journal, stage_features

RESULTS = "results.json"
CLIPS = "clips.csv"
# What a protocol needs to resume.
WORK = "work"
_WORK_TREE: own_files.Tree = {
  clip_journal.PATTERN: None,
  stage_features.FOLDER: stage_features.TREE,
  r"\w+": classifier_training.TREE,
}
TREE: own_files.Tree = {r"results\.json": None, r"clips\.csv": None, WORK: _WORK_TREE}
_REMEDY = "Move it away, or name another --output_dir."


def check_no_links(output_dir: str, *above: str) -> None:
  """Makes sure that nothing is written through a symbolic link in a received folder.

  Args:
    output_dir: the folder itself may be a link, which the user named.
    *above: folders that must be none either.

  Raises:
    ForeignFilesError: one is a link.
  """
  work = os.path.join(output_dir, WORK)
  for path in (*above, work, *own_files.links(work, _WORK_TREE)):
    own_files.check_no_link(path, _REMEDY)


def clear(output_dir: str) -> None:
  """Deletes the results in a folder, and work on others; nothing else.

  Raises:
    ForeignFilesError: there is something else in the folder for work; nothing was deleted.
  """
  work, results = os.path.join(output_dir, WORK), os.path.join(output_dir, RESULTS)
  own_files.check_no_link(results, _REMEDY)
  own_files.delete(work, _WORK_TREE, _REMEDY)
  if os.path.exists(results):
    os.remove(results)
