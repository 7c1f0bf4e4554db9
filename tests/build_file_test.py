"""Tests that BUILD lists every Python file once, and the dependencies of the files."""

import collections
import re
import shutil
import subprocess
import tempfile
import unittest

from tests import source_tree

RULES = ("py_library", "py_binary", "py_test", "filegroup")


def _glob(include, exclude=()):
  def expand(patterns):
    return {
      path.relative_to(source_tree.ROOT).as_posix()
      for pattern in patterns
      for path in source_tree.ROOT.glob(pattern)
      if path.is_file()
    }

  return sorted(expand(include) - expand(exclude))


def read_build_file() -> list[dict]:
  """The targets of BUILD: their attributes and their "rule".

  BUILD's language is a subset of Python, so it is run as Python with the rules replaced by
  recorders.
  """
  targets = []
  namespace = {
    rule: lambda rule=rule, **attributes: targets.append({"rule": rule, **attributes})
    for rule in RULES
  }
  namespace["glob"] = _glob
  for name in ("licenses", "exports_files", "package"):
    namespace[name] = lambda *args, **kwargs: None
  exec(compile((source_tree.ROOT / "BUILD").read_text(), "BUILD", "exec"), namespace)
  return targets


def _expected_rule(path: str) -> str:
  if path.endswith("_test.py"):
    return "py_test"
  text = (source_tree.ROOT / path).read_text(encoding="utf-8")
  may_be_command = path.count("/") == 1 or path.endswith("/__main__.py")
  is_command = may_be_command and re.search('^if __name__ == "__main__":', text, re.MULTILINE)
  return "py_binary" if is_command else "py_library"


class BuildFileTest(unittest.TestCase):
  maxDiff = None  # A failure shows the complete expected content.

  def setUp(self):
    self.targets = [target for target in read_build_file() if target["rule"] != "filegroup"]

  def test_every_file_is_in_exactly_one_target(self):
    owners = collections.defaultdict(list)
    for target in self.targets:
      for path in target["srcs"]:
        owners[path].append(target["name"])
    self.assertEqual(
      {path: owners[path] for path in source_tree.python_files() if len(owners[path]) != 1},
      {},
      "Files with no target, or with several.",
    )
    self.assertEqual(set(owners) - set(source_tree.python_files()), set(), "Files that are gone.")

  def test_names_are_unique(self):
    count = collections.Counter(target["name"] for target in read_build_file())
    self.assertEqual([name for name, n in count.items() if n > 1], [])

  def test_commands_are_binaries_and_tests_are_tests(self):
    for target in self.targets:
      for path in target["srcs"]:
        self.assertEqual(target["rule"], _expected_rule(path), path)
      if target["rule"] != "py_library":
        self.assertEqual(target["srcs"], [target["main"]], target["name"])

  def test_dependencies_are_what_the_files_import(self):
    owner = {path: target["name"] for target in self.targets for path in target["srcs"]}
    expected, found = {}, {}
    for target in self.targets:
      if target["rule"] == "py_test":
        continue
      imported = {
        owner[file] for path in target["srcs"] for file in source_tree.imported_files(path)
      }
      expected[target["name"]] = [f":{name}" for name in sorted(imported - {target["name"]})]
      found[target["name"]] = target.get("deps", [])
    self.assertEqual(found, expected)

  def test_tests_depend_on_everything(self):
    everything = sorted(f":{t['name']}" for t in self.targets if t["rule"] != "py_test")
    for target in self.targets:
      if target["rule"] == "py_test":
        self.assertEqual(target["deps"], everything, target["name"])

  @unittest.skipUnless(shutil.which("bazel"), "bazel is not installed")
  def test_bazel_lists_the_same_targets(self):
    with tempfile.TemporaryDirectory() as folder:
      result = subprocess.run(
        ["bazel", "--batch", f"--output_user_root={folder}", "query", "//..."],
        cwd=source_tree.ROOT,
        capture_output=True,
        text=True,
        check=False,
      )
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEqual(
      sorted(result.stdout.split()), sorted(f"//:{t['name']}" for t in read_build_file())
    )


if __name__ == "__main__":
  unittest.main()
