"""Tests that commands and links of the documentation are right; no command trains anything."""

import ast
import re
import shlex
import subprocess
import tempfile
import unittest

import numpy as np

from tests import command, source_tree, tiny_run

README = source_tree.ROOT / "README.md"
PAGES = {
  path: path.read_text(encoding="utf-8")
  for path in (README, *sorted((source_tree.ROOT / "docs").glob("*.md")))
}
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
# Programs that the packages of requirements.txt install, beside python.
INSTALLED_PROGRAMS = {"saved_model_cli", "tensorboard"}


def _blocks(language: str) -> list[str]:
  """Contents of the fenced blocks in `language`, README first; "" for blocks in none."""
  return [
    content
    for page in PAGES.values()
    for name, content in _FENCED.findall(page)
    if name == language
  ]


def _commands() -> list[list[str]]:
  """The shell commands of all pages, README first, continuation lines joined, split into words."""
  lines = "".join(_blocks("bash")).replace("\\\n", " ").splitlines()
  return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def _python_commands() -> list[list[str]]:
  """Arguments of Python, of each command that starts one of ours."""
  return [
    words[1:]
    for words in _commands()
    if words[0] == ".venv/bin/python" and words[1:3] != ["-m", "pip"]
  ]


def _parse_flags(arguments: list[str]) -> subprocess.CompletedProcess:
  """Runs a command up to the point where its flags are read and found valid."""
  return command.run_python(*arguments, "--only_check_args")


class ReadmeTest(unittest.TestCase):

  def test_names_the_two_commands(self):
    self.assertEqual(_commands()[:2], [["make", "demo"], ["make", "test"]])

  def test_every_program_is_known(self):
    for words in _commands():
      program = words[0].removeprefix(".venv/bin/")
      self.assertIn(program, INSTALLED_PROGRAMS | {"make", "python"}, words)

  def test_make_knows_its_targets(self):
    makefile = (source_tree.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split()
    for words in _commands():
      if words[0] == "make":
        self.assertIn(words[1], targets)

  def test_python_commands_accept_their_flags(self):
    commands = _python_commands()
    self.assertNotEqual(commands, [])
    for arguments in commands:
      result = _parse_flags(arguments)
      self.assertEqual(result.returncode, 0, f"{arguments}\n{result.stdout}{result.stderr}")

  def test_gin_macros_exist(self):
    files = (source_tree.ROOT / "gin").rglob("*.gin")
    macros = set(re.findall(r"^(\w+) =", "\n".join(f.read_text() for f in files), re.MULTILINE))
    for arguments in _python_commands():
      for argument in arguments:
        if argument.startswith("--gin_param=") and "." not in argument.split("=")[1]:
          self.assertIn(argument.split("=")[1], macros, arguments)

  def test_files_exist(self):
    for page, text in PAGES.items():
      prose = _FENCED.sub("", text)
      for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", prose):
        self.assertTrue((page.parent / link).exists(), f"{page}: {link}")
      # Files of the user have other folders before these.
      for path in re.findall(r"(?<![\w/])(?:avssl_tf|gin|tests|tools)/[\w/]+\.\w+", text):
        self.assertTrue((source_tree.ROOT / path).exists(), f"{page}: {path}")

  def test_layout_is_that_of_the_package(self):
    layout = next(block for block in _blocks("") if block.startswith("avssl_tf/"))
    listed = set(re.findall(r"\b\w+(?:\.py|/)", layout)) - {"avssl_tf/", "gin/", "tools/", "tests/"}
    package = source_tree.ROOT / "avssl_tf"
    existing = {path.split("/")[1] for path in source_tree.python_files("avssl_tf")}
    existing = {name + "/" * (package / name).is_dir() for name in existing} - {"__init__.py"}
    self.assertEqual(listed, existing)

  def test_python_examples_parse(self):
    for block in _blocks("python"):
      ast.parse(block)

  def test_the_training_loop_runs(self):
    (loop,) = (block for block in _blocks("python") if "training_dataset" in block)
    with tempfile.TemporaryDirectory() as folder:
      data_dir = tiny_run.make_data(folder, num_train=8)
      for text, smaller in (
        ("data/mine", data_dir), ("r2plus1d_18", "r2plus1d_6"), ("50_000", "1100"),
        ("frame_size=112", "frame_size=16"), ("audio_sec=2.0", "audio_sec=0.5"),
        ("batch_size=64", "batch_size=2"), ("10_000", "2"),
      ):  # fmt: skip
        self.assertEqual(loop.count(text), 1, text)
        loop = loop.replace(text, smaller)
      names = {}
      exec(compile(loop, "README.md", "exec"), names)
    self.assertEqual(int(names["objective"].step), 2)
    self.assertTrue(np.isfinite(names["losses"]["loss"]))


if __name__ == "__main__":
  unittest.main()
