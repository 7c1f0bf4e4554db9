"""Tests of the 360° viewer in a browser: video, audio and controls."""

import base64
import contextlib
import os
import tempfile

import cv2
import numpy as np
import tensorflow as tf

from avssl_tf.report.panorama_viewer import ViewerClip
from avssl_tf.spatial import ambisonics, directions, equirect
from tests import browser, test_base
from tests.report.viewer_clips import (
  BLACK,
  BLUE,
  GREEN,
  RATE_HZ,
  RED,
  WHITE,
  YELLOW,
  call,
  mono,
  quarters,
  source,
  write_page,
)


class PanoramaViewerInBrowserTest(test_base.TestCase):
  """Two clips in Chromium: coloured quarters with noise from the left; a smooth, silent one."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # Smooth colours, which do not depend on the interpolation.
    x, y, z = np.moveaxis(
      directions.unit_vectors(*ambisonics.pixel_directions(64, 128)).numpy(), -1, 0
    )
    smooth = np.stack([x + 0.3 * z, y - 0.3 * x * z, z + 0.3 * y], axis=-1)
    cls.smooth = np.round(127.5 + 90 * smooth).astype(np.uint8)
    left = source(90, 0)
    fields = {"true": left, "mirrored": left * np.float32([1, -1, 1, 1]), "mono": mono(left)}
    silent = dict.fromkeys(fields, np.zeros([2 * RATE_HZ, 4], np.float32))
    frames = np.stack([quarters(), quarters()[:, ::-1]])  # The second one from right to left.
    stack = contextlib.ExitStack()
    cls.addClassCleanup(stack.close)
    path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "viewer.html")
    write_page(
      path,
      ViewerClip("quarters", frames, 2.0, fields, RATE_HZ),
      ViewerClip("smooth", cls.smooth[np.newaxis], 0.5, silent, RATE_HZ),
    )
    cls.page, cls.problems = stack.enter_context(browser.opened(path))

  def setUp(self):
    super().setUp()
    self.problems.clear()
    self.page.reload()
    self.wait_for("paused")
    self.canvas = self.page.locator("canvas")

  def tearDown(self):
    self.assertEqual(self.problems, [])
    super().tearDown()

  def wait_for(self, state):
    self.page.wait_for_selector(f"panorama-viewer[data-state={state}][data-frame]")

  def state(self):
    return call(self.page, "viewer.draw(); return { ...viewer.dataset };")

  def picture(self, yaw_deg, pitch_deg, energy=False):
    """The view in a direction, with or without the sound energy: uint8 RGB."""
    self.page.get_by_label("sound energy").set_checked(energy)
    url = call(
      self.page,
      "viewer.look(...given); viewer.draw(); return viewer.canvas.toDataURL('image/png');",
      yaw_deg, pitch_deg,
    )  # fmt: skip
    png = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(png, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

  def centre(self, yaw_deg, pitch_deg=0):
    picture = self.picture(yaw_deg, pitch_deg)
    return picture[picture.shape[0] // 2, picture.shape[1] // 2]

  def test_quarters_are_where_they_belong(self):
    for colour, *direction in (
      (RED, 0), (GREEN, 90), (BLUE, 180), (YELLOW, -90), (WHITE, 0, 90), (BLACK, 0, -90),
    ):  # fmt: skip
      self.assertAllClose(self.centre(*direction), colour, atol=12, rtol=0)
    # The left of a view is to the left.
    picture = self.picture(0, 0)
    self.assertAllClose(picture[picture.shape[0] // 2, 5], GREEN, atol=12, rtol=0)

  def test_views_are_those_of_the_project(self):
    self.page.select_option("select", label="smooth")
    self.page.wait_for_selector("panorama-viewer[data-state=paused]")
    # In front, at the side, across the seam, and at the pole.
    for yaw_deg, pitch_deg in ((0, 0), (35, 20), (180, 0), (-140, -50), (60, 90)):
      picture = self.picture(yaw_deg, pitch_deg)
      height, width = picture.shape[:2]
      across = np.deg2rad(float(self.state()["zoomDeg"]))
      up = 2 * np.arctan(np.tan(across / 2) * height / width)
      rays = equirect.viewport_directions(
        *tf.constant([*np.deg2rad([yaw_deg, pitch_deg]), across, up], tf.float32), height, width
      )
      expected = equirect.sample(tf.constant(self.smooth[np.newaxis]), rays)[0].numpy()
      away = np.abs(picture.astype(int) - expected)
      self.assertLess(away.mean(), 2.0)
      self.assertLess(away.max(), 16)

  def test_turns_with_the_mouse_and_the_keys(self):
    before = self.canvas.screenshot()
    box = self.canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    self.page.mouse.move(x, y)
    self.page.mouse.down()
    self.page.mouse.move(x + 100, y + 30, steps=4)
    self.page.mouse.up()
    # The view follows the mouse: more of the left and upper parts becomes visible.
    state = self.state()
    scale = float(state["zoomDeg"]) / box["width"]
    self.assertAllClose(float(state["yawDeg"]), 100 * scale)
    self.assertAllClose(float(state["pitchDeg"]), 30 * scale)
    self.assertNotEqual(self.canvas.screenshot(), before)
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
      self.canvas.press(key)
    turned = self.state()
    self.assertAllClose(float(turned["yawDeg"]), 100 * scale - 20)
    self.assertAllClose(float(turned["pitchDeg"]), 30 * scale - 10)
    self.page.mouse.wheel(0, -200)
    self.page.wait_for_function(
      f"Number(document.querySelector('panorama-viewer').dataset.zoomDeg) < {state['zoomDeg']}"
    )

  def test_shows_where_it_sounds(self):
    def shown(yaw_deg):
      """The visible share of the energy."""
      seen, plain = (self.picture(yaw_deg, 0, energy).astype(int) for energy in (True, False))
      return np.abs(seen - plain).mean()

    self.assertGreater(shown(90), 10)
    self.assertLess(shown(-90), 1)
    self.page.get_by_text("mirrored").click()
    self.assertLess(shown(90), 1)
    self.assertGreater(shown(-90), 10)
    self.page.get_by_text("mono").click()
    self.assertLess(shown(90), 1)

  def test_plays_and_changes_fields_in_time(self):
    self.assertEqual(self.state()["timeSec"], "0")
    self.page.get_by_role("button", name="Play").click()
    self.wait_for("playing")
    self.page.wait_for_selector("panorama-viewer[data-frame='1']")
    self.page.wait_for_selector("panorama-viewer[data-frame='0']")  # From the start again.
    # The time advances in real time, also when the field changes.
    times = call(
      self.page,
      """
      const times = [];
      for (const label of [...viewer.querySelectorAll("fieldset label"), null]) {
        times.push([viewer.context.currentTime, viewer.time]);
        label?.click();
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      return times;
      """
    )
    outside, inside = np.diff(times, axis=0).T
    self.assertAllGreater(outside, 0.03)
    self.assertAllClose(outside, np.mod(inside, 1.0), atol=1e-6)
    self.assertEqual(self.state()["field"], "mono")
    self.page.wait_for_timeout(200)
    gains = call(
      self.page,
      "return Object.entries(viewer.gains).map(([name, { gain }]) => [name, gain.value]);"
    )
    self.assertAllClose(dict(gains), {"true": 0, "mirrored": 0, "mono": 1}, atol=1e-3)
    self.page.get_by_role("button", name="Pause").click()
    self.wait_for("paused")
    paused = self.state()["timeSec"]
    self.page.wait_for_timeout(100)
    self.assertEqual(self.state()["timeSec"], paused)

  def test_ends_where_it_does_not_loop(self):
    self.page.get_by_label("loop").uncheck()
    self.page.get_by_label("Time").fill("0.8")
    self.assertEqual(self.state()["frame"], "1")
    self.page.get_by_role("button", name="Play").click()
    self.wait_for("playing")
    self.wait_for("paused")
    self.assertEqual(self.state()["timeSec"], "0")

  def test_another_clip(self):
    self.page.get_by_role("button", name="Play").click()
    self.wait_for("playing")
    self.page.select_option("select", label="smooth")
    self.wait_for("paused")
    self.assertIn("/ 2.0 s", self.page.locator("output").inner_text())
    self.page.get_by_role("button", name="Play").click()  # Silence plays as well.
    self.wait_for("playing")


class WithoutWebGLTest(test_base.TestCase):

  def test_says_so(self):
    clip = ViewerClip("a", quarters()[np.newaxis], 1.0, {"true": source(0, 0)}, RATE_HZ)
    path = os.path.join(self.get_temp_dir(), "viewer.html")
    write_page(path, clip)
    with browser.opened(path, webgl=False) as (page, _):
      page.wait_for_selector("panorama-viewer[data-state=failed]")
      self.assertIn("WebGL", page.get_by_role("alert").inner_text())
      self.assertFalse(page.locator("button").is_enabled())


if __name__ == "__main__":
  tf.test.main()
