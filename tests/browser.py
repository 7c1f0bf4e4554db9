"""Opens pages in headless Chromium, and collects their errors."""

import contextlib
import pathlib
import shutil
import unittest
from collections.abc import Iterator

from playwright import sync_api

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
# WebGL without a graphics card.
_WEBGL_FLAGS = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_SIZE = {"width": 1000, "height": 800}
_TIMEOUT_MS = 30_000


@contextlib.contextmanager
def opened(path: str, webgl: bool = True) -> Iterator[tuple[sync_api.Page, list[str]]]:
  """Opens an HTML file in headless Chromium.

  Args:
    path: path of the file.
    webgl: whether the browser has WebGL.

  Yields:
    The page, and the list of its problems so far: errors on its console, uncaught errors, and
    requests to other locations, which are blocked.

  Raises:
    unittest.SkipTest: there is no Chromium.
  """
  executable = next(filter(None, map(shutil.which, _BROWSERS)), None)
  if executable is None:
    raise unittest.SkipTest(f"No browser: none of {', '.join(_BROWSERS)} is in the PATH.")
  problems = []

  def note_message(message: sync_api.ConsoleMessage) -> None:
    if message.type == "error":
      problems.append(f"console: {message.text}")

  def check_request(route: sync_api.Route) -> None:
    if route.request.url.startswith(("file:", "data:", "blob:")):
      route.continue_()
    else:
      problems.append(f"request: {route.request.url}")
      route.abort()

  flags = [*_FLAGS, *(_WEBGL_FLAGS if webgl else ["--disable-3d-apis"])]
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=executable, args=flags)
    try:
      page = browser.new_page(viewport=_SIZE)
      page.set_default_timeout(_TIMEOUT_MS)
      page.on("console", note_message)
      page.on("pageerror", lambda error: problems.append(f"error: {error}"))
      page.route("**/*", check_request)
      page.goto(pathlib.Path(path).resolve().as_uri())
      yield page, problems
    finally:
      browser.close()
