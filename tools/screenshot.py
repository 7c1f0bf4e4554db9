#!/usr/bin/env python3
"""Takes a screenshot of a section of a page, such as a report, in headless Chromium.

  python tools/screenshot.py --page=runs/avid/report.html --part=retrieval --output=retrieval.png

Requires the package playwright, which `make test` installs, and Chromium or Chrome.
"""

import io
import os
import pathlib
import shutil
import sys

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from absl import flags
from PIL import Image

from avssl_tf import cli, local_paths
from avssl_tf.errors import UserError
from avssl_tf.report.drawings import picture_files

FLAGS = flags.FLAGS

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
  "--no-sandbox", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
  # WebGL without a graphics card.
  "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
)  # fmt: skip
_SETTLE_MS = 1000  # Until charts and images are drawn.


def take(page: str, part: str, output: str, width: int, height: int) -> None:
  """Saves a screenshot.

  Args:
    page: HTML file.
    part: id of an element of the page.
    output: image file; its extension determines the format.
    width: width of the window, in pixels.
    height: maximum height of the screenshot, from the top of the element, in pixels.

  Raises:
    UserError: there is no such page or element, or no browser or playwright.
  """
  try:
    from playwright import sync_api
  except ImportError as error:
    raise UserError("The package playwright is missing: pip install playwright.") from error
  executable = next(filter(None, map(shutil.which, _BROWSERS)), None)
  if executable is None:
    raise UserError(
      f"No browser: none of {', '.join(_BROWSERS)} is in the PATH. On Debian and Ubuntu: apt "
      "install chromium."
    )
  if not os.path.exists(page):
    raise UserError(
      f"--page={page}: no such file. Training writes report.html to the folder of a run."
    )
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=executable, args=list(_ARGUMENTS))
    window = browser.new_page(viewport={"width": width, "height": height})
    window.goto(pathlib.Path(page).resolve().as_uri())
    window.wait_for_timeout(_SETTLE_MS)
    found = window.locator(f"[id='{part}']")
    if not found.count():
      known = window.evaluate("[...document.querySelectorAll('section')].map((s) => s.id)")
      raise UserError(f"--part={part}: no such element in {page}; sections: {', '.join(known)}.")
    # Sticky elements would cover the section.
    window.add_style_tag(content="nav { position: static !important; }")
    box = found.bounding_box()
    clip = {**box, "height": min(box["height"], height)}
    shot = window.screenshot(clip=clip, full_page=True)
    browser.close()
  # The browser itself saves no WebP.
  Image.open(io.BytesIO(shot)).convert("RGB").save(output)


def main() -> None:
  """Takes the screenshot."""
  define_flags()
  cli.main(_run, stopped="Stopped; nothing was written.")


def _run() -> None:
  picture_files.check(FLAGS.output, "--output", picture_files.PIXELS)
  take(FLAGS.page, FLAGS.part, FLAGS.output, FLAGS.width, FLAGS.height)
  print(f"Image: {FLAGS.output}")


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  local_paths.define_flag("page", None, "HTML file.")
  flags.DEFINE_string("part", "run", "Id of the section, the fragment of a link to it.")
  local_paths.define_flag("output", "screenshot.png", "Image file to write.")
  flags.DEFINE_integer("width", 1040, "Width of the window, in pixels.", 100)
  flags.DEFINE_integer("height", 640, "Maximum height of the screenshot, in pixels.", 100)
  flags.mark_flag_as_required("page")


if __name__ == "__main__":
  main()
