"""Shared parts of the builder tests: inputs, some of them broken, and references."""

import os
import tempfile
from unittest import mock

from avssl_tf.data.building.build import build
from avssl_tf.data.records.dataset_info import DatasetInfo
from tests import test_base
from tests.data.building import fake_source

GOOD = ["4.0", "2.0", "5.5", "6.0", "1.5", "4.5", "2.0", "3.0", "8.0", "2.5"]
BROKEN = {2: "unreadable", 5: "4.5 bad 2.0", 8: "8.0 bad 0.0"}


def all_bytes(directory):
  """Content of all files of the data set except the work folder, by name."""
  content = {}
  for name in os.listdir(directory):
    if name != ".build":
      with open(os.path.join(directory, name), "rb") as f:
        content[name] = f.read()
  return content


def build_small(folder) -> tuple[str, DatasetInfo]:
  """Builds a data set of six good clips below a folder; returns its own folder and description."""
  inputs, output = os.path.join(folder, "inputs"), os.path.join(folder, "data")
  fake_source.write_files(inputs, ["4.0", "2.0", "2.0", "4.0"])
  return output, build(fake_source.recipe(inputs), output, 0).info


class BuildCase(test_base.TestCase):
  def setUp(self):
    super().setUp()
    self.inputs = os.path.join(self.new_folder(), "inputs")
    self.output = self.new_folder()
    fake_source.write_files(self.inputs, GOOD)
    # Hundreds of files are written, and the tests need no protection from power failures.
    self.enter_context(mock.patch.object(os, "fsync"))

  def new_folder(self):
    return self.enter_context(tempfile.TemporaryDirectory())

  def reference(self, **changes):
    """All bytes of an uninterrupted build of the current inputs."""
    directory = self.new_folder()
    build(fake_source.recipe(self.inputs, **changes), directory, 0, 0.9)
    return all_bytes(directory)

  def break_files(self, texts=None):
    fake_source.write_files(
      self.inputs, [(texts or BROKEN).get(n, text) for n, text in enumerate(GOOD)]
    )
