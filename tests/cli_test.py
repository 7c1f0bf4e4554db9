"""Tests of the common main function of all commands: flags, messages and exit."""

import ast
import unittest

from tests import command, source_tree

# A command with a given function body.
_COMMAND = '''"""A command of a test.

  python -m a_command --number=3
"""
import logging as py_logging
import sys
from absl import flags, logging
from avssl_tf import cli, errors, local_paths

assert "tensorflow" not in sys.modules
local_paths.define_flag("input_file", None, "A file of the command.")
flags.DEFINE_integer("number", 1, "A number of the command.")

def _work(*arguments):
  {work}

def main():
  cli.main(_work, "Stopped; rerun it.", takes_arguments={takes_arguments})

if __name__ == "__main__":
  main()
'''
# Runs a command that fails because of a bug.
_FAULT = """
import sys
from unittest import mock
from avssl_tf import {module} as command
from avssl_tf.training import loading
from avssl_tf.training.configurations import configuration
with mock.patch.object({target}, side_effect=ValueError("operands do not match")):
  sys.argv = ["command", {flags}]
  command.main()
"""


def _run(work, *arguments, takes_arguments=False):
  code = _COMMAND.format(work=work, takes_arguments=takes_arguments)
  return command.run_python("-c", code, *arguments)


class CliTest(unittest.TestCase):

  def test_work_is_done(self):
    process = _run("print(flags.FLAGS.number)", "--number=3")
    self.assertEqual((process.returncode, process.stdout), (0, "3\n"), process.stderr)

  def test_errors_of_users_are_one_message(self):
    process = _run("raise errors.UserError('--number=1: \\x1b[2J too small')")
    self.assertEqual(process.returncode, 1)
    self.assertEqual(
      process.stderr,
      "Error: --number=1: \\x1b[2J too small\n(--verbosity=1 shows the traceback.)\n",
    )
    process = _run("open('/nowhere/x')")
    self.assertRegex(process.stderr, "^Error: .*No such file or directory: '/nowhere/x'\n")
    self.assertNotIn("Traceback", process.stderr)
    process = _run("raise errors.UserError('why')", "--verbosity=1")
    self.assertIn("Traceback", process.stderr)

  def test_faults_show_their_traceback(self):
    process = _run("raise ValueError('a bug')")
    self.assertEqual(process.returncode, 1)
    self.assertIn("Traceback", process.stderr)
    self.assertIn("ValueError: a bug", process.stderr)
    self.assertNotIn("Error: a bug\n(--verbosity", process.stderr)

  def test_faults_in_commands_show_their_traceback(self):
    for module, target, flags in (
      ("export", 'loading, "load"', '"--model_dir=x", "--output_dir=/tmp/nowhere/x"'),
      ("train", 'configuration, "parse"', '"--gin_file=gin/avid.gin"'),
    ):
      process = command.run_python("-c", _FAULT.format(module=module, target=target, flags=flags))
      self.assertEqual(process.returncode, 1)
      self.assertIn("Traceback", process.stderr)
      self.assertIn("ValueError: operands do not match", process.stderr)

  def test_stops(self):
    process = _run("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    self.assertEqual(process.returncode, 143)
    self.assertEqual(process.stderr, "\nStopped; rerun it.\n")

  def test_arguments(self):
    process = _run("print('not reached')", "number=3")
    self.assertNotEqual(process.returncode, 0)
    self.assertIn("Unexpected arguments: ['number=3']. Expected flags: --name=value.",
                  process.stderr)  # fmt: skip
    self.assertNotIn("not reached", process.stdout)
    process = _run("print(*arguments)", "a", "b", takes_arguments=True)
    self.assertEqual(process.stdout, "['a', 'b']\n")

  def test_messages_of_libraries(self):
    work = (
      "logging.info('of a library'); logging.warning('to be seen');"
      " py_logging.getLogger('tensorflow').info('of TensorFlow')"
    )
    process = _run(work)
    self.assertEqual(process.stderr, "to be seen\n")
    self.assertIn("of a library", _run(work, "--verbosity=1").stderr)

  def test_help_shows_the_command(self):
    process = _run("pass", "--help")
    self.assertIn("python -m a_command --number=3", process.stdout)
    self.assertIn("--number: A number of the command.", process.stdout)
    self.assertIn("--input_file: A file of the command.", process.stdout)

  def test_help_of_a_script_that_imports_the_command(self):
    # Like the script of an installed package.
    process = command.run_python(
      "-c", "import sys; from avssl_tf import export; sys.argv[0] = '/bin/x'; export.main()",
      "--help",
    )  # fmt: skip
    self.assertIn("python -m avssl_tf.export", process.stdout)
    for flag in ("model_dir", "output_dir", "any_size"):
      self.assertRegex(process.stdout, rf"--(\[no\])?{flag}:")


class CommandsTest(unittest.TestCase):
  """Each command and tool has a `main()`, and imports `cli` before what imports TensorFlow."""

  def test_each_has_a_main_that_needs_no_arguments(self):
    for path in _commands():
      (main,) = [
        node for node in source_tree.parse(path).body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
      ]  # fmt: skip
      self.assertEqual(len(main.args.args), len(main.args.defaults), path)

  def test_cli_comes_before_tensorflow(self):
    for path in [*_commands(), "tools/make_tfrecords.py"]:
      body = source_tree.parse(path).body
      imports = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
      names = [alias.name for node in imports for alias in node.names]
      modules = [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports
      ]
      ours = [i for i, module in enumerate(modules) if module.split(".")[0] == "avssl_tf"]
      if path != "tools/make_tfrecords.py":
        self.assertIn("cli", [alias.name for alias in imports[ours[0]].names], path)
      self.assertNotIn("tensorflow", modules[: ours[0]], f"{path}: {names}")


def _commands():
  return [
    path for path in source_tree.python_files("avssl_tf", "tools")
    if "cli.main(" in (source_tree.ROOT / path).read_text(encoding="utf-8")
    and path != "avssl_tf/cli.py"
  ]  # fmt: skip


if __name__ == "__main__":
  unittest.main()
