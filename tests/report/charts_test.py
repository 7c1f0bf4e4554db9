"""Tests that names in charts are displayed literally, without active content."""

import os
import tempfile
import unittest

import numpy as np
from markupsafe import Markup

from avssl_tf.report import charts, page
from tests import browser

_NAME = '<a href="https://example.com">run</a> &amp; <b>x</b>\x1b</script><script>alert(1)</script>'
_SHOWN = _NAME.replace("\x1b", "\\x1b")


class ChartsTest(unittest.TestCase):

  def check(self, chart: Markup) -> None:
    with tempfile.TemporaryDirectory() as folder:
      path = os.path.join(folder, "page.html")
      page.save(path, "Charts", "", [page.Section("Chart", chart)], {})
      with browser.opened(path, webgl=False) as (opened, problems):
        opened.wait_for_selector(".legendtext")
        self.assertEqual(opened.locator(".main-svg a").count(), 0)
        self.assertIn(_SHOWN, opened.locator(".legendtext").all_text_contents())
        self.assertEqual(opened.locator(".gtitle").text_content(), _SHOWN)
        self.assertEqual(problems, [])

  def test_curves(self):
    self.check(charts.curves(_NAME, {_NAME: ([0, 1], [1.0, 2.0]), "y": ([0, 1], [2.0, 1.0])}))

  def test_histogram(self):
    self.check(charts.histogram(_NAME, {_NAME: np.arange(3.0), "y": np.arange(3.0)}, "weight"))

  def test_points(self):
    texts = [["x", _NAME]] * 4
    self.check(charts.points(_NAME, np.eye(4, 2), [_NAME, "y"] * 2, texts))


if __name__ == "__main__":
  unittest.main()
