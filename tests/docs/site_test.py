"""Tests of the documentation site: it builds strictly, is whole, and works without a network."""

import html.parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest, parameterized

from tests import browser, public_docstrings_test, source_tree

_SITE = pathlib.Path(tempfile.mkdtemp(prefix="site"))
_RESOURCES = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


def setUpModule():
  environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
  result = subprocess.run(
    [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={_SITE}"],
    cwd=source_tree.ROOT, env=environment, capture_output=True, text=True,
  )  # fmt: skip
  if result.returncode:
    raise AssertionError(f"The site does not build:\n{result.stderr}")


def tearDownModule():
  shutil.rmtree(_SITE)


class _Page(html.parser.HTMLParser):
  """Resources of a page, and the text after each anchor."""

  def __init__(self, path: pathlib.Path):
    super().__init__()
    self.resources, self.text_after = [], {}
    self.feed(path.read_text(encoding="utf-8"))

  def handle_starttag(self, tag, attrs):
    attributes = dict(attrs)
    if tag in _RESOURCES and attributes.get("rel") != "canonical":
      self.resources.append(attributes.get(_RESOURCES[tag]) or "")
    if not attributes.get("id", "__").startswith("__"):  # Those of lines of code do.
      self.text_after[attributes["id"]] = ""
      self._last = attributes["id"]

  def handle_data(self, data):
    if self.text_after:
      self.text_after[self._last] += data


def _pages() -> list[pathlib.Path]:
  return sorted(_SITE.rglob("*.html"))


class SiteTest(parameterized.TestCase):

  def test_pages_request_nothing_from_elsewhere(self):
    self.assertGreater(len(_pages()), 30)
    for path in _pages():
      for resource in _Page(path).resources:
        self.assertNotRegex(resource, r"^(https?:)?//", path)

  def test_equations_are_mathml(self):
    text = (_SITE / "methods" / "avid.html").read_text(encoding="utf-8")
    self.assertIn("<math", text)
    for path in _pages():
      self.assertNotIn('class="arithmatex"', path.read_text(encoding="utf-8"), path)

  def test_differences_are_tables(self):
    for path in _pages():
      self.assertNotIn("<!-- differences", path.read_text(encoding="utf-8"), path)
    text = (_SITE / "methods" / "published_settings.html").read_text(encoding="utf-8")
    self.assertIn("lr_milestones_epochs", text)

  @parameterized.parameters(*public_docstrings_test.PACKAGES)
  def test_every_public_name_has_an_entry(self, package):
    page = _Page(_SITE / "reference" / f"{package.rpartition('.')[2]}.html")
    for name, value in public_docstrings_test.public_objects(package).items():
      target = f"{value.__module__}.{value.__qualname__}"
      self.assertIn(target, page.text_after, name)
      summary = re.sub(r"\W+", "", (value.__doc__ or "").strip().split("\n")[0])[:30]
      self.assertIn(summary, re.sub(r"\W+", "", page.text_after[target]), name)

  def test_flags_of_the_commands(self):
    text = (_SITE / "reference" / "commands.html").read_text(encoding="utf-8")
    for flag in ("gin_file", "virtual_devices", "source", "overlay", "any_size"):
      self.assertIn(f"--{flag}</code>", text)


class BrowserTest(parameterized.TestCase):

  @parameterized.parameters(
    ("index.html", 1400, "light"), ("index.html", 390, "dark"), ("methods/avid.html", 390, "light"),
    ("reference/losses.html", 1400, "dark"), ("tutorials/demo.html", 1400, "light"),
  )  # fmt: skip
  def test_opens_without_a_problem(self, page_name, width, scheme):
    with browser.opened(_SITE / page_name, webgl=False) as (page, problems):
      page.emulate_media(color_scheme=scheme)
      page.set_viewport_size({"width": width, "height": 800})
      page.reload()
      self.assertTrue(page.locator("h1").is_visible())
      # Nothing but tables and code, which scroll in themselves, is wider than the window.
      self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), width)
      self.assertEqual(problems, [])

  def test_search_works_without_a_server(self):
    with browser.opened(_SITE / "index.html", webgl=False) as (page, problems):
      page.locator("input.md-search__input").click()
      page.keyboard.type("memory bank")
      page.wait_for_function(
        "[...document.querySelectorAll('.md-search-result__item a')].some("
        "(link) => link.href.includes('losses.html'))"
      )
      self.assertEqual(problems, [])


if __name__ == "__main__":
  absltest.main()
