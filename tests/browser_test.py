"""Tests that all errors of a page are reported."""

import os
import tempfile
import unittest

from tests import browser

_PAGE = """<!DOCTYPE html><title>A page</title>
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">
<script>console.log("fine");</script>
%s
"""


class BrowserTest(unittest.TestCase):

  def problems(self, html: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
      path = os.path.join(folder, "page 1.html")
      with open(path, "w", encoding="utf-8") as f:
        f.write(_PAGE % html)
      with browser.opened(path) as (page, problems):
        self.assertEqual(page.title(), "A page")
        return "\n".join(problems)

  def test_a_good_page_has_no_problems(self):
    self.assertEqual(self.problems(""), "")

  def test_problems_are_collected(self):
    found = self.problems(
      """
      <script>console.error("logged");</script>
      <script>throw new Error("thrown");</script>
      <script src="http://example.invalid/a.js"></script>
      """
    )
    self.assertIn("console: logged", found)
    self.assertRegex(found, "error: .*thrown")
    self.assertIn("request: http://example.invalid/a.js", found)


if __name__ == "__main__":
  unittest.main()
