"""Tests of the public names of `import avssl_tf`, and of its lazy imports."""

import importlib
import inspect
import subprocess
import sys

from absl.testing import absltest, parameterized

from tests import source_tree

_PACKAGES = ("avssl_tf", *(f"avssl_tf.{name}" for name in (
  "data", "evaluation", "inference", "losses", "models", "spatial", "tasks"
)))  # fmt: skip


class FaceTest(parameterized.TestCase):

  def test_importing_it_imports_nothing_else(self):
    code = "import sys, avssl_tf, avssl_tf.data, avssl_tf.losses; print(*sys.modules)"
    result = subprocess.run(
      [sys.executable, "-c", code], cwd=source_tree.ROOT, capture_output=True, text=True, check=True
    )
    modules = result.stdout.split()
    self.assertNotIn("tensorflow", modules)
    self.assertNotIn("numpy", modules)
    ours = sorted(name for name in modules if name.startswith("avssl_tf"))
    self.assertEqual(ours, [
      "avssl_tf", "avssl_tf.data", "avssl_tf.keras_choice", "avssl_tf.lazy", "avssl_tf.losses",
    ])  # fmt: skip

  @parameterized.parameters(*_PACKAGES)
  def test_every_name_is_there_and_documented(self, package_name):
    package = importlib.import_module(package_name)
    self.assertNotEmpty(package.__all__)
    for name in package.__all__:
      with self.subTest(name):
        self.assertIn(name, dir(package))
        value = getattr(package, name)
        self.assertTrue(inspect.getdoc(value))
        self.assertIs(getattr(package, name), value)
    star = {}
    exec(f"from {package_name} import *", star)
    self.assertContainsSubset(package.__all__, star)

  @parameterized.parameters(*_PACKAGES)
  def test_other_names_are_not(self, package_name):
    package = importlib.import_module(package_name)
    with self.assertRaisesRegex(AttributeError, f"'{package_name}' has no attribute 'Nothing'"):
      package.Nothing  # noqa: B018


if __name__ == "__main__":
  absltest.main()
