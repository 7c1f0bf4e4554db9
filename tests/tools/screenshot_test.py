"""Tests of the command that takes pictures of pages."""

import os
import tempfile
import unittest

import cv2

from tests import browser, command

_PAGE = """<!DOCTYPE html><html><body style="margin: 0">
<nav style="position: sticky; top: 0">bar</nav>
<section id="first" style="height: 2000px">text</section>
<section id="second" style="height: 300px; background: rgb(0, 0, 255)"></section></body></html>"""


class ScreenshotTest(unittest.TestCase):

  def test_shows_a_part_of_a_page(self):
    with tempfile.TemporaryDirectory() as folder:
      page, output = os.path.join(folder, "page.html"), os.path.join(folder, "picture.png")
      with open(page, "w", encoding="utf-8") as f:
        f.write(_PAGE)
      with browser.opened(page):  # Skips the test where there is no browser.
        pass
      process = command.run_tool(
        "screenshot", f"--page={page}", "--part=second", f"--output={output}", "--width=400",
        "--height=200",
      )  # fmt: skip
      self.assertEqual(process.returncode, 0, process.stderr)
      picture = cv2.imread(output)
      self.assertEqual(picture.shape, (200, 400, 3))
      self.assertEqual(picture.reshape(-1, 3).min(axis=0).tolist(), [255, 0, 0])
      self.assertEqual(picture.reshape(-1, 3).max(axis=0).tolist(), [255, 0, 0])
      process = command.run_tool("screenshot", f"--page={page}", "--part=third")
      self.assertEqual(process.returncode, 1)
      self.assertIn("; sections: first, second", process.stderr)


if __name__ == "__main__":
  unittest.main()
