"""Tests that one module registers all names of gin files."""

import re
import unittest

from tests import source_tree

_REGISTRY = "avssl_tf/training/configurations/gin_names.py"
_REGISTERS = re.compile(r"^(@?gin\.(register|configurable|external_configurable))\b", re.MULTILINE)


class GinNamesTest(unittest.TestCase):

  def test_it_imports_every_module_that_registers_a_name(self):
    registering = {
      path
      for path in source_tree.python_files("avssl_tf")
      if _REGISTERS.search((source_tree.ROOT / path).read_text(encoding="utf-8"))
    }
    self.assertGreater(len(registering), 40)
    self.assertEqual(source_tree.imported_files(_REGISTRY), registering)

  def test_no_other_module_imports_for_registration(self):
    files = source_tree.python_files("avssl_tf", "tools", "tests")
    found = [
      path
      for path in files
      if path not in (_REGISTRY, "tests/training/configurations/gin_names_test.py")
      and "F401" in (source_tree.ROOT / path).read_text(encoding="utf-8")
    ]
    self.assertEqual(found, [])


if __name__ == "__main__":
  unittest.main()
