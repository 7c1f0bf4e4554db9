"""Tests that importing TensorFlow prints no notices, and that nothing else is lost."""

import os
import subprocess
import sys
import unittest

from avssl_tf import quiet_tensorflow
from tests import source_tree


class QuietTensorflowTest(unittest.TestCase):

  def test_a_command_starts_without_notices(self):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    result = subprocess.run(
      [sys.executable, "-c", "from avssl_tf import cli; import tensorflow"],
      cwd=source_tree.ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    self.assertEqual(result.stderr, "")

  def test_everything_else_is_kept(self):
    printed = (
      b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
      b"I0000 00:00:1795860690.236268   22230 port.cc:153] oneDNN custom operations are on.\n"
      b"E0000 00:00:1795860690.236268   22230 port.cc:153] A fault.\n"
      b"A warning of Python.\n"
    )
    rest = quiet_tensorflow.without_notices(printed)
    self.assertEqual(rest.splitlines()[1:], [b"A warning of Python."])
    self.assertIn(b"A fault.", rest)

  def test_without_stderr(self):
    subprocess.run(
      ["sh", "-c", f'"{sys.executable}" -c "from avssl_tf import cli; import tensorflow" 2>&-'],
      cwd=source_tree.ROOT, check=True,
    )  # fmt: skip


if __name__ == "__main__":
  unittest.main()
