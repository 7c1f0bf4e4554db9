"""Isolates tests, and their commands, from files of the user and settings of the shell."""

import os
import signal
import tempfile


def pytest_configure(config):
  # The record of exported SavedModels.
  folder = tempfile.TemporaryDirectory()
  os.environ["XDG_STATE_HOME"] = folder.name
  config.add_cleanup(folder.cleanup)
  # A shell makes commands in the background ignore Ctrl-C, which tests send.
  if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
