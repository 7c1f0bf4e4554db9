"""Tests of the safe display of untrusted text."""

import csv
import io
import unittest

from avssl_tf import foreign_text


class ForeignTextTest(unittest.TestCase):

  def test_printable_text_stays_as_it_is(self):
    for text in ("", "a b", "Straße, 東京 🎵", "100% (x=1)", "non\xa0breaking"):
      self.assertEqual(foreign_text.printable(text), text)

  def test_control_characters_become_escapes(self):
    for character in "\x00\x07\b\t\n\r\x1b\x7f\x9b\u2028\u202e\u2066\udcff":
      text = foreign_text.printable(f"a{character}b")
      self.assertTrue(text.isprintable(), repr(text))
      self.assertEqual(text, "a" + ascii(character)[1:-1] + "b")
      text.encode("utf-8")  # As a terminal does.

  def test_no_cell_is_a_formula(self):
    for text in ("=1+1", "+1", "-1", "@SUM(1)", "\t=1+1", "\r=1+1", "\n=1", "=HYPERLINK(\"x\")"):
      file = io.StringIO()
      csv.writer(file).writerow([foreign_text.spreadsheet_cell(text)])
      cell = next(csv.reader(io.StringIO(file.getvalue())))[0]
      self.assertNotIn(cell[0], "=+-@\t\r\n")
    self.assertEqual(foreign_text.spreadsheet_cell("a-b=c.mp4"), "a-b=c.mp4")

  def test_charts_get_no_tags(self):
    text = foreign_text.chart_text('<a href="x">&amp;</a>\x1b')
    self.assertEqual(text, '&lt;a href="x"&gt;&amp;amp;&lt;/a&gt;\\x1b')


if __name__ == "__main__":
  unittest.main()
