"""Tests that all tests can be had in one process, in any order of their files."""

import unittest

from tests import command


class CollectionTest(unittest.TestCase):

  def test_no_file_stands_in_the_way_of_another(self):
    # A tensor made at import sets up devices that other files want to set up, and flags defined
    # at import meet those of other commands.
    process = command.run_python("-m", "pytest", "--collect-only", "-q", "tests")
    self.assertEqual(process.returncode, 0, process.stdout[-3000:])


if __name__ == "__main__":
  unittest.main()
