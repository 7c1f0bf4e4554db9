"""Tests of the file of single clips of evaluations."""

import csv
import os
import tempfile
import unittest

from avssl_tf.evaluation.clip_journal import ClipJournal


class ClipJournalTest(unittest.TestCase):

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name

  def journal(self, **settings):
    return ClipJournal(os.path.join(self.folder, "work"), settings, 2, ["iou"])

  def rows(self, path):
    with open(path, encoding="utf-8", newline="") as f:
      return list(csv.DictReader(f))

  def test_resumes_after_whole_blocks(self):
    first = self.journal(seed=0)
    rows = [{"id": name, "window": "0", "method": "x", "iou": "0.5"} for name in "abc"]
    first.add(rows[:2])
    first.add(rows[2:])  # A block with one row, as left by a killed process.
    self.assertEqual(self.journal(seed=0).num_blocks, 1)
    self.assertEqual(self.journal(seed=1).num_blocks, 0)

  def test_copy_is_safe_for_spreadsheets_and_the_journal_keeps_the_names(self):
    names = ["=1+1", "a\x1b[2J"]
    journal = self.journal()
    journal.add([{"id": n, "window": "0", "method": "x", "iou": "-0.5"} for n in names])
    path = os.path.join(self.folder, "clips.csv")
    for found in (journal, self.journal()):  # The second reads the file of the first.
      self.assertEqual(found.copy_to(path), [("x", {"iou": -0.5})] * 2)
      self.assertEqual([row["id"] for row in self.rows(path)], ["'=1+1", "a\\x1b[2J"])
      self.assertEqual([row["iou"] for row in self.rows(path)], ["-0.5"] * 2)
    work = os.path.join(self.folder, "work")
    (name,) = os.listdir(work)
    self.assertEqual([row["id"] for row in self.rows(os.path.join(work, name))], names)


if __name__ == "__main__":
  unittest.main()
