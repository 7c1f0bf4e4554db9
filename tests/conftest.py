"""Isolates tests, and their commands, from files of the user and settings of the shell.

Files that take longest run first: several processes then end at about the same time. The option
--short leaves them out.
"""

import os
import signal
import tempfile

# Files that take a minute or more, longest first.
_LONGEST = (
  "tests/tools/printed_commands_test.py",
  "tests/docs/tutorials_test.py",
  "tests/train_test.py",
  "tests/apply_test.py",
  "tests/training/trainer_test.py",
  "tests/end_to_end_test.py",
  "tests/end_to_end_360_test.py",
  "tests/report/run_report_test.py",
  "tests/evaluation/alignment/segmentation_test.py",
  "tests/evaluation/alignment/binary_alignment_test.py",
  "tests/training/loading_test.py",
  "tests/training/kept_checkpoints_test.py",
  "tests/tasks/uneven_replicas_test.py",
  "tests/losses/foreign_model_test.py",
  "tests/docs/contributing_test.py",
  "tests/evaluation/classifiers/classifier_training_test.py",
  "tests/docs/site_test.py",
  "tests/models/conformance_test.py",
  "tests/training/batch_picture_test.py",
  "tests/docs/pages_test.py",
  "tests/tools/make_tfrecords_test.py",
  "tests/tasks/instance_discrimination_test.py",
  "tests/evaluation/sound_fields/generation_test.py",
)


def pytest_addoption(parser):
  parser.addoption("--short", action="store_true", help="Leave out the files that take longest.")


def pytest_configure(config):
  # Else pytest-xdist would hand out files by their number of tests.
  config.option.loadscopereorder = False
  # The record of exported SavedModels.
  folder = tempfile.TemporaryDirectory()
  os.environ["XDG_STATE_HOME"] = folder.name
  config.add_cleanup(folder.cleanup)
  # A shell makes commands in the background ignore Ctrl-C, which tests send.
  if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
  places = {path: place for place, path in enumerate(_LONGEST)}
  last = len(places)
  items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], last))
  if config.getoption("short"):
    long = [item for item in items if item.nodeid.partition("::")[0] in places]
    config.hook.pytest_deselected(items=long)
    del items[: len(long)]
