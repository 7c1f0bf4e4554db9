"""Tests that commands, examples, links and figures of README.md and docs/ are right.

No command trains anything here: the tutorials are executed by tutorials_test.py.
"""

import ast
import re
import subprocess
import tempfile

import numpy as np
from absl.testing import absltest

from tests import command, docs_pages, source_tree, tiny_run

PAGES = docs_pages.pages()
README = PAGES[docs_pages.README]
# Programs that the packages of requirements.txt install, in addition to python.
INSTALLED_PROGRAMS = {"saved_model_cli", "tensorboard"}
_MOST_README_LINES = 150
_KNOWN_SITES = {"arxiv.org", "github.com"}


def _commands() -> list[list[str]]:
  return [words for text in PAGES.values() for words in docs_pages.commands(text)]


def _python_commands() -> list[list[str]]:
  """Arguments of Python, of each different command that starts one of ours."""
  ours = [
    tuple(words[1:])
    for words in _commands()
    if words[0] == ".venv/bin/python" and words[1:3] != ["-m", "pip"]
  ]
  return [list(arguments) for arguments in dict.fromkeys(ours)]


def _parse_flags(arguments: list[str]) -> subprocess.CompletedProcess:
  """Runs a command up to the point where its flags are read and found valid."""
  return command.run_python(*arguments, "--only_check_args")


class CommandsTest(absltest.TestCase):

  def test_readme_starts_with_the_two_commands(self):
    self.assertEqual(docs_pages.commands(README)[:2], [["make", "demo"], ["make", "test"]])

  def test_every_program_is_known(self):
    for words in _commands():
      program = words[0].removeprefix(".venv/bin/")
      self.assertIn(program, INSTALLED_PROGRAMS | {"make", "python"}, words)

  def test_make_has_these_targets(self):
    makefile = (source_tree.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split()
    for words in _commands():
      if words[0] == "make":
        self.assertIn(words[1], targets)

  def test_python_commands_accept_their_flags(self):
    commands = _python_commands()
    self.assertNotEmpty(commands)
    for arguments in commands:
      with self.subTest(" ".join(arguments)):
        result = _parse_flags(arguments)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

  def test_gin_macros_exist(self):
    files = (source_tree.ROOT / "gin").rglob("*.gin")
    macros = set(re.findall(r"^(\w+) =", "\n".join(f.read_text() for f in files), re.MULTILINE))
    for arguments in _python_commands():
      for argument in arguments:
        if argument.startswith("--gin_param=") and "." not in argument.split("=")[1]:
          self.assertIn(argument.split("=")[1].strip(), macros, arguments)


class LinksTest(absltest.TestCase):

  def test_linked_files_exist(self):
    for page, text in PAGES.items():
      for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", docs_pages.prose(text)):
        # These pages are generated when the site is built.
        generated = "reference" in (page.parent / link).parts or page.parent.name == "reference"
        if not generated:
          self.assertTrue((page.parent / link).exists(), f"{page}: {link}")

  def test_named_files_exist(self):
    for page, text in PAGES.items():
      # Files of users have other folders before these.
      for path in re.findall(r"(?<![\w/.])(?:avssl_tf|docs|gin|tests|tools)/[\w/]+\.\w+", text):
        self.assertTrue((source_tree.ROOT / path).exists(), f"{page}: {path}")

  def test_links_to_other_sites_are_those_to_papers_and_projects(self):
    for page, text in PAGES.items():
      for site in re.findall(r"\]\(https?://([^/)]+)", text):
        self.assertIn(site, _KNOWN_SITES, page)


class FiguresTest(absltest.TestCase):

  def test_tables_of_results_state_their_command_and_date(self):
    for page, text in PAGES.items():
      for part in re.split(r"^#+ ", text, flags=re.MULTILINE):
        if re.search(r"^\|.*\d ± \d.*\|$", part, re.MULTILINE):
          with self.subTest(f"{page.name}: {part[:40]!r}"):
            self.assertRegex(part, r"[Mm]easured (on )?20\d\d-\d\d-\d\d")
            self.assertTrue(docs_pages.commands(part), "no command")


class ReadmeTest(absltest.TestCase):

  def test_is_short(self):
    self.assertLessEqual(README.count("\n"), _MOST_README_LINES)

  def test_links_to_every_page(self):
    for page in PAGES:
      path = page.relative_to(source_tree.ROOT).as_posix()
      if page != docs_pages.README and "reference/" not in path and path != "docs/index.md":
        self.assertIn(f"({path})", README)


class ExamplesTest(absltest.TestCase):

  def test_python_examples_parse(self):
    for text in PAGES.values():
      for block in docs_pages.blocks(text, "python"):
        ast.parse(block)

  def test_the_training_loop_runs(self):
    (loop,) = docs_pages.blocks(README, "python")
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
  absltest.main()
