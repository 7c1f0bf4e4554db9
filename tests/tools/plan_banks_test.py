"""Tests of the plan of memory banks, against arithmetic."""

from unittest import mock

import tensorflow as tf
from absl.testing import absltest

from avssl_tf.losses import memory_bank
from tests import command
from tools import plan_banks


class PlanBanksTest(absltest.TestCase):

  def test_against_arithmetic(self):
    found = plan_banks.plan(num_rows=10**8, dim=16, k=5, batch_size=8, num_negatives=100)
    sizes = {name: num_bytes for name, *_, num_bytes in found.variables}
    self.assertEqual(sizes["video_bank.rows"], 4 * 16 * 10**8)
    self.assertEqual(sizes["audio_bank.rows"], 4 * 16 * 10**8)
    (of_sets,) = (variable for variable in found.variables if variable[0] == "positive_sets")
    self.assertEqual(of_sets[1], (10**8, 5))
    of_number = of_sets[3] // (5 * 10**8)
    # Per clip and bank: its row, the negatives, 5 positives with 64 negatives, the row to update.
    rows = 2 * (1 + 100 + 5 + 64 + 1)
    # The positive set, which the losses and the choice of negatives read.
    self.assertEqual(found.read_bytes, 8 * (rows * 4 * 16 + 2 * 5 * of_number))
    self.assertEqual(found.written_bytes, 8 * 2 * 4 * 16)
    # The own row is read with the negatives.
    self.assertEqual(found.largest[0], 8 * (1 + 100) * 4 * 16)

  def test_a_step_that_copies_a_bank(self):
    def copying(bank, indices):
      return tf.gather(tf.identity(bank.rows), indices)

    with mock.patch.object(memory_bank.MemoryBank, "gather", copying):
      with self.assertRaisesRegex(ValueError, r"a tensor of all rows: \(5000, 16\)"):
        plan_banks.plan(num_rows=5000, dim=16, k=5, batch_size=8, num_negatives=100)
    self.assertTrue(tf.compat.v1.control_flow_v2_enabled())

  def test_prints(self):
    result = command.run_tool("plan_banks", "--num_rows=1000000", "--clips=16")
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertRegex(result.stdout, r"video_bank.rows +\[1000000, 128\] +float32 +0\.512 GB")
    self.assertIn("of 16 clips reads 18.4 MB of these rows and writes 0.02 MB", result.stdout)


if __name__ == "__main__":
  absltest.main()
