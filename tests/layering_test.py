"""Tests that dependencies point one way, and a few other rules of the tree."""

import ast
import collections
import subprocess
import sys
import unittest

from tests import source_tree

# Groups of modules, lowest first. A group may import itself and the groups of lower rows; groups
# of one row do not import each other.
LAYERS = (
  {
    "base": {
      "__init__", "addons", "arrays", "checkpoint_files", "cli", "cluster", "errors", "files",
      "foreign_text", "job_flags", "keras_choice", "keras_optimizers", "keys", "lazy",
      "learning_rates", "local_paths", "own_files", "progress", "quiet_tensorflow", "replicas",
      "spectrograms", "stops", "successors", "text_files",
    },
  },
  {"engines": {"engines"}, "spatial": {"spatial"}},
  {"data": {"data"}, "models": {"models"}, "losses": {"losses"}},
  {"tasks": {"tasks"}},
  {"inference": {"inference"}},
  {"evaluation": {"evaluation"}},
  {"training": {"training"}},  # Training runs probes.
  {"report": {"report"}, "comparison": {"comparison"}},  # They load trained networks.
  {"applications": {"applications"}},
  {"commands": {"apply", "evaluate", "export", "make_tfrecords", "recipe_flags", "train"}},
)
GROUP_AND_RANK = {
  part: (group, rank)
  for rank, layer in enumerate(LAYERS)
  for group, parts in layer.items()
  for part in parts
}

_MOST_LINES = 300
_MOST_MODULES = 20
# Larger: commands and base modules.
_LARGE_FOLDERS = {"avssl_tf"}


def _part(path: str) -> str:
  """`avssl_tf/data/media/clip_reading.py` -> "data", `avssl_tf/keys.py` -> "keys"."""
  return path.split("/")[1].removesuffix(".py")


class LayeringTest(unittest.TestCase):

  def test_every_module_has_its_layer(self):
    parts = {_part(path) for path in source_tree.python_files("avssl_tf")}
    self.assertEqual(parts - set(GROUP_AND_RANK), set(), "Give these a place in LAYERS.")

  def test_dependencies_point_down(self):
    wrong = []
    for path in source_tree.python_files("avssl_tf"):
      group, rank = GROUP_AND_RANK[_part(path)]
      for imported in sorted(source_tree.imported_files(path)):
        if not imported.startswith("avssl_tf/"):
          wrong.append(f"{path} imports {imported}: the package imports nothing outside itself")
          continue
        other_group, other_rank = GROUP_AND_RANK[_part(imported)]
        if group != other_group and other_rank >= rank:
          wrong.append(f"{path} ({group}) imports {imported} ({other_group})")
    self.assertEqual(wrong, [])

  def test_tools_import_the_package_alone(self):
    for path in source_tree.python_files("tools"):
      for imported in source_tree.imported_files(path):
        self.assertTrue(imported.startswith("avssl_tf/"), f"{path} imports {imported}")

  def test_packages_hold_a_docstring_and_a_face_alone(self):
    for path in source_tree.python_files("avssl_tf"):
      folder, _, name = path.rpartition("/")
      if name == "__init__.py":
        body = source_tree.parse(path).body
        self.assertIsNotNone(ast.get_docstring(source_tree.parse(path)), path)
        # The package selects Keras 2 before anything imports TensorFlow.
        of_root = {"avssl_tf/keras_choice.py"} if folder == "avssl_tf" else set()
        imported = source_tree.imported_files(path)
        self.assertLessEqual(imported, {"avssl_tf/lazy.py", *of_root}, path)
        # The public names and the version.
        others = body[1:] if len(body) == 1 else body[2:]
        allowed = {ast.Assign, *([ast.Expr] if of_root else [])}
        self.assertLessEqual({type(node) for node in others}, allowed, path)
      else:
        self.assertTrue((source_tree.ROOT / folder / "__init__.py").exists(), folder)

  def test_modules_have_names_of_their_own(self):
    names = collections.Counter(
      path.rpartition("/")[2].removesuffix(".py") for path in source_tree.python_files("avssl_tf")
    )
    for name in ("__init__", "__main__"):
      del names[name]
    self.assertEqual([name for name, count in names.items() if count > 1], [])
    standard = getattr(sys, "stdlib_module_names", ())  # From Python 3.10 on.
    self.assertEqual(set(names).intersection(standard), set())

  def test_files_are_short(self):
    lines = {
      path: len((source_tree.ROOT / path).read_text(encoding="utf-8").splitlines())
      for path in source_tree.python_files("avssl_tf", "tools")
    }
    too_long = {path for path, count in lines.items() if count > _MOST_LINES}
    self.assertEqual(too_long, set(), "Split these by what they do.")

  def test_folders_are_small(self):
    modules = collections.Counter(
      path.rpartition("/")[0]
      for path in source_tree.python_files("avssl_tf")
      if not path.endswith("/__init__.py")
    )
    large = {folder for folder, count in modules.items() if count > _MOST_MODULES}
    self.assertEqual(large, _LARGE_FOLDERS, "Split what is new; take out what is small by now.")

  def test_no_module_is_a_drawer_for_everything(self):
    names = {path.rpartition("/")[2] for path in source_tree.python_files()}
    self.assertEqual(names & {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}, set())

  def test_folder_of_configurations_does_not_shadow_gin(self):
    self.assertEqual(list((source_tree.ROOT / "gin").rglob("*.py")), [])


class AddonsTest(unittest.TestCase):
  """Only one module imports the packages that are no longer developed, without their warnings."""

  def test_one_module_imports_them(self):
    for package in ("tensorflow_addons", "tensorflow_io"):
      users = [
        path
        for path in source_tree.python_files("avssl_tf", "tools")
        if package in source_tree.imported_packages(path)
      ]
      self.assertEqual(users, ["avssl_tf/addons.py"], package)

  def test_its_notice_stays_off_the_screen(self):
    result = subprocess.run(
      [sys.executable, "-c", "import avssl_tf.addons"],
      cwd=source_tree.ROOT,
      capture_output=True,
      text=True,
      check=True,
    )
    self.assertNotRegex(result.stdout + result.stderr, "(?i)tensorflow addons")


if __name__ == "__main__":
  unittest.main()
