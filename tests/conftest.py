"""Keeps what tests and their commands export out of the user's record of SavedModels."""

import os
import tempfile


def pytest_configure(config):
  folder = tempfile.TemporaryDirectory()
  os.environ["XDG_STATE_HOME"] = folder.name
  config.add_cleanup(folder.cleanup)
