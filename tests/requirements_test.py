"""Tests that requirements.txt matches the imports, and can be installed on all platforms."""

import concurrent.futures
import itertools
import os
import re
import subprocess
import sys
import tempfile
import unittest

from absl.testing import absltest
from packaging.requirements import Requirement

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
  "tf-keras": "keras",
}
FILES = (
  "requirements.txt", "requirements-docs.txt", "requirements-index.txt", "requirements-ray.txt",
  "requirements-dev.txt",
)  # fmt: skip
# Required by only one command or flag, which prints installation instructions, or by the site.
OPTIONAL = {"faiss", "latex2mathml", "mkdocs", "playwright", "pyarrow", "ray", "torch"}


def _pins(file: str) -> list[tuple[str, str]]:
  """(name, rest of the line) of each pin of the first part of a requirements file."""
  text = (source_tree.ROOT / file).read_text(encoding="utf-8")
  first_part = text.split("# Transitive dependencies.")[0]
  lines = [line for line in first_part.splitlines() if line and line[0] not in "#-"]
  return [re.fullmatch(r"([a-z0-9-]+)(.*)", line).groups() for line in lines]


class RequirementsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.required = {
      IMPORT_NAMES.get(name, name.replace("-", "_")) for name, _ in _pins("requirements.txt")
    }
    self.imported = set()
    for path in source_tree.python_files("avssl_tf", "tools"):
      self.imported |= source_tree.imported_packages(path)
      if "tf.keras" in (source_tree.ROOT / path).read_text(encoding="utf-8"):
        self.imported.add("keras")  # TensorFlow exposes it under this name.

  @unittest.skipIf(sys.version_info < (3, 10), "sys.stdlib_module_names came with Python 3.10")
  def test_everything_imported_is_required(self):
    own = {"avssl_tf"} | OPTIONAL | set(sys.stdlib_module_names)
    self.assertEqual(self.imported - own - self.required, set())

  def test_everything_required_is_imported(self):
    self.assertEqual(self.required - self.imported, set())

  def test_everything_is_pinned_exactly_and_without_an_address(self):
    for path in FILES:
      for requirement in _requirements(path):
        self.assertRegex(str(requirement), r"^[a-z0-9-]+==[0-9.]+(post[0-9]+)?(; [^@]*)?$")

  def test_one_version_of_each_package_by_python(self):
    for minor in range(9, 14):
      python = f"3.{minor}"
      # Files may repeat a pin: each can be installed alone.
      pins = {
        (requirement.name, str(requirement.specifier))
        for path in FILES
        for requirement in _requirements(path)
        if requirement.marker is None
        or requirement.marker.evaluate({
          "python_version": python, "sys_platform": "linux", "platform_machine": "x86_64",
        })
      }  # fmt: skip
      chosen = [name for name, _ in pins]
      self.assertLen(set(chosen), len(chosen), python)
      names = {name for name, _ in _pins("requirements.txt")} - {"tf-keras"}
      if minor > 11:
        names -= {"tensorflow-addons", "tensorflow-io"}
      self.assertContainsSubset(names, set(chosen), python)


def _requirements(path):
  lines = (source_tree.ROOT / path).read_text(encoding="utf-8").splitlines()
  return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r "))]


class PlatformsTest(absltest.TestCase):
  """The pins have wheels, and do not contradict each other, on platforms that run no tests here."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(cls.folder.cleanup)
    probe = os.path.join(cls.folder.name, "probe.txt")
    with open(probe, "w", encoding="utf-8") as f:
      f.write("six==1.17.0\n")
    if cls.resolve(probe).returncode:
      raise unittest.SkipTest("No package registry is reachable.")

  @classmethod
  def resolve(cls, *arguments):
    return subprocess.run(
      [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--only-binary=:all:", *arguments,
      ],
      cwd=source_tree.ROOT, capture_output=True, text=True, check=False,
      # Of macOS, only versions that Apple maintains.
      env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"},
    )  # fmt: skip

  def test_resolves(self):
    pythons = ("3.10", "3.11", "3.12", "3.13")
    platforms = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")
    targets = list(itertools.product(pythons, platforms))

    def resolve(target):
      python, platform = target
      return self.resolve(
        f"--python-version={python}", f"--python-platform={platform}", "requirements-dev.txt"
      )

    # Most of the time is latency of the registry.
    with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
      results = dict(zip(targets, pool.map(resolve, targets)))
    failed = {target: result.stderr for target, result in results.items() if result.returncode}
    self.assertEqual(failed, {})

  def test_an_unsupported_python_does_not_resolve(self):
    result = self.resolve("--python-version=3.14", "requirements.txt")
    self.assertIn("tensorflow", result.stderr)
    self.assertNotEqual(result.returncode, 0)


if __name__ == "__main__":
  absltest.main()
