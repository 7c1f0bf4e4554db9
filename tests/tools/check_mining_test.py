"""Tests of the command that compares the positive sets of several workers with those of one."""

import numpy as np
from absl.testing import absltest

from tests import command
from tools import check_mining


class CheckMiningTest(absltest.TestCase):

  def test_three_workers_find_the_sets_of_one(self):
    # 47 blocks: the last block of the third worker repeats the first rows.
    result = command.run_tool(
      "check_mining", "--num_rows=3001", "--dim=8", "--k=5", "--workers=3",
      "--query_block=64",
    )  # fmt: skip
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("sets of 3 workers equal those of one, on each worker", result.stdout)

  def test_sets_that_differ(self):
    sets = np.arange(12).reshape(4, 3)
    other = sets.copy()
    other[1:3, 2] = 0
    check_mining.compare(sets, [sets, sets])
    with self.assertRaisesRegex(ValueError, "Worker 1 of 2 has other .* in 2 of 4 rows"):
      check_mining.compare(sets, [sets, other])


if __name__ == "__main__":
  absltest.main()
