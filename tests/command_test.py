"""Tests that a forked command behaves like one in a new process."""

import os
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

from tests import command, source_tree

_SCRIPT = """
import os, sys
print(sys.argv[1:], sys.path[0], os.getcwd(), os.environ["MARK"], __name__, sys.stdin.read())
print([m for m in ("avssl_tf.cli", "avssl_tf.train") if m in sys.modules], file=sys.stderr)
{end}
"""


class CommandTest(parameterized.TestCase):

  @parameterized.parameters(
    ("", 0), ("sys.exit(3)", 3), ("sys.exit('wrong')", 1), ("raise ValueError('no')", 1),
    ("import atexit; atexit.register(print, 'last')", 0), ("os.kill(os.getpid(), 9)", -9),
  )  # fmt: skip
  def test_a_script(self, end, status):
    os.environ["MARK"] = "a mark"
    self.addCleanup(os.environ.pop, "MARK")
    with tempfile.TemporaryDirectory() as folder:
      path = os.path.join(folder, "script.py")
      with open(path, "w", encoding="utf-8") as f:
        f.write(_SCRIPT.format(end=end))
      forked = command.run_python(path, "--a=1", "ä b")
      alone = subprocess.run(
        [sys.executable, path, "--a=1", "ä b"], cwd=source_tree.ROOT, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
      )  # fmt: skip
    self.assertEqual((forked.returncode, alone.returncode), (status, status))
    if status >= 0:  # A killed process loses unwritten output.
      self.assertEqual(forked.stdout, alone.stdout)
    self.assertEqual(forked.stderr.splitlines()[-1:], alone.stderr.splitlines()[-1:])

  def test_a_module(self):
    result = command.run_python("-m", "avssl_tf.export", "--nothing")
    self.assertEqual(result.returncode, 1)
    self.assertIn("Unknown command line flag 'nothing'", result.stderr)


if __name__ == "__main__":
  absltest.main()
