"""Runs the examples in the docstrings of the package as doctests."""

import doctest
import importlib

from absl.testing import absltest, parameterized

from tests import source_tree

MODULES = [
  path.removesuffix(".py").replace("/", ".")
  for path in source_tree.python_files("avssl_tf")
  if ">>> " in (source_tree.ROOT / path).read_text(encoding="utf-8")
]


class DocstringTest(parameterized.TestCase):

  @parameterized.parameters(MODULES)
  def test_examples_give_what_they_show(self, module_name):
    module = importlib.import_module(module_name)
    result = doctest.testmod(
      module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, report=True
    )
    self.assertGreater(result.attempted, 0, "no example of this module was run")
    self.assertEqual(result.failed, 0, "the differences are printed above")

  def test_there_are_examples(self):
    self.assertNotEmpty(MODULES)


if __name__ == "__main__":
  absltest.main()
