"""Tests that requirements.txt matches the imports."""

import re
import sys
import unittest

from tests import source_tree

# Import names of packages that differ from their distribution names.
IMPORT_NAMES = {
  "absl-py": "absl",
  "gin-config": "gin",
  "opencv-python-headless": "cv2",
  "pillow": "PIL",
  "pot": "ot",
  "protobuf": "google",
  "scikit-learn": "sklearn",
  "tensorflow-serving-api": "tensorflow_serving",
}
# Required by only one command, which prints installation instructions, or by the site.
OPTIONAL = {"torch", "playwright", "latex2mathml", "mkdocs"}


def _pins(file: str) -> list[tuple[str, str]]:
  """(name, rest of the line) of each pin of the first part of a requirements file."""
  text = (source_tree.ROOT / file).read_text(encoding="utf-8")
  first_part = text.split("# Transitive dependencies.")[0]
  lines = [line for line in first_part.splitlines() if line and line[0] not in "#-"]
  return [re.fullmatch(r"([a-z0-9-]+)(.*)", line).groups() for line in lines]


class RequirementsTest(unittest.TestCase):

  def setUp(self):
    self.required = {
      IMPORT_NAMES.get(name, name.replace("-", "_")) for name, _ in _pins("requirements.txt")
    }
    self.imported = set()
    for path in source_tree.python_files("avssl_tf", "tools"):
      self.imported |= source_tree.imported_packages(path)
      if "tf.keras" in (source_tree.ROOT / path).read_text(encoding="utf-8"):
        self.imported.add("keras")  # TensorFlow 2.15 exposes it under this name.

  @unittest.skipIf(sys.version_info < (3, 10), "sys.stdlib_module_names came with Python 3.10")
  def test_everything_imported_is_required(self):
    own = {"avssl_tf"} | OPTIONAL | set(sys.stdlib_module_names)
    self.assertEqual(self.imported - own - self.required, set())

  def test_everything_required_is_imported(self):
    self.assertEqual(self.required - self.imported, set())

  def test_everything_is_pinned_exactly_and_without_an_address(self):
    for file in ("requirements.txt", "requirements-docs.txt", "requirements-dev.txt"):
      text = (source_tree.ROOT / file).read_text(encoding="utf-8")
      for line in text.splitlines():
        if line and not line.startswith(("#", "-r requirements")):
          self.assertRegex(
            line, r'^[a-z0-9-]+==[0-9.]+(post[0-9]+)?(; python_version (<|>=) "3\.1[01]")?$'
          )


if __name__ == "__main__":
  unittest.main()
