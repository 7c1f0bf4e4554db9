"""Tests of the command that takes pictures of pages."""

import os
import tempfile
import unittest

import cv2
import numpy as np

from tests import browser, command

_PAGE = """<!DOCTYPE html><html><body style="margin: 0">
<nav style="position: sticky; top: 0">bar</nav>
<section id="first" style="height: 2000px">text</section>
<section id="second" style="height: 300px; background: rgb(0, 0, 255)"></section></body></html>"""


class ScreenshotTest(unittest.TestCase):

  def test_shows_a_part_of_a_page(self):
    with tempfile.TemporaryDirectory() as folder:
      page = os.path.join(folder, "page.html")
      with open(page, "w", encoding="utf-8") as f:
        f.write(_PAGE)
      with browser.opened(page):  # Skips the test where there is no browser.
        pass
      for name, loss in (("picture.png", 0), ("picture.webp", 4)):
        output = os.path.join(folder, name)
        process = command.run_tool(
          "screenshot", f"--page={page}", "--part=second", f"--output={output}", "--width=400",
          "--height=200",
        )  # fmt: skip
        self.assertEqual(process.returncode, 0, process.stderr)
        picture = cv2.imread(output)
        self.assertEqual(picture.shape, (200, 400, 3))
        np.testing.assert_allclose(picture, np.full([200, 400, 3], (255, 0, 0)), atol=loss)
      process = command.run_tool("screenshot", f"--page={page}", "--part=third")
      self.assertEqual(process.returncode, 1)
      self.assertIn("; sections: first, second", process.stderr)


if __name__ == "__main__":
  unittest.main()
