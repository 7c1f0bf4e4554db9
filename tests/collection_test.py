"""Tests that all tests can be imported in one process, in any order."""

import unittest

from tests import command


class CollectionTest(unittest.TestCase):

  def test_no_file_stands_in_the_way_of_another(self):
    # A tensor created at import initialises devices that other files must configure, and flags
    # defined at import conflict with those of other commands.
    process = command.run_python("-m", "pytest", "--collect-only", "-q", "tests")
    self.assertEqual(process.returncode, 0, process.stdout[-3000:])


if __name__ == "__main__":
  unittest.main()
