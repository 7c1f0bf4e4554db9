"""Clips for the tests of the 360° viewer."""

import numpy as np
import tensorflow as tf
from playwright import sync_api

from avssl_tf.report import panorama_viewer
from avssl_tf.report.panorama_viewer import ViewerClip
from avssl_tf.spatial import ambisonics

RATE_HZ = 16000
NO_ANSWER = "no answer"
WHITE, RED, GREEN, BLUE, YELLOW, BLACK = (
  (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 0, 0)
)  # fmt: skip


def quarters() -> np.ndarray:
  """Red in front, green on the left, blue behind, yellow on the right; white above, black below."""
  azimuth, elevation = (
    np.rad2deg(angle.numpy())[..., np.newaxis] for angle in ambisonics.pixel_directions(32, 64)
  )
  frame = np.where(np.abs(azimuth) < 45, RED, BLUE)
  frame = np.where(np.abs(azimuth - 90) < 45, GREEN, frame)
  frame = np.where(np.abs(azimuth + 90) < 45, YELLOW, frame)
  frame = np.where(elevation > 45, WHITE, np.where(elevation < -45, BLACK, frame))
  return frame.astype(np.uint8)


def source(azimuth_deg, elevation_deg, duration_sec=1.0) -> np.ndarray:
  """The sound field of noise from a direction, float32 `[samples, 4]`."""
  noise = np.random.default_rng(0).uniform(-0.1, 0.1, [round(duration_sec * RATE_HZ), 1])
  angles = np.float32(np.deg2rad([[azimuth_deg], [elevation_deg]]))
  return ambisonics.encode(tf.constant(noise, tf.float32), *angles).numpy()


def mono(field: np.ndarray) -> np.ndarray:
  """A field with W only."""
  return field * np.float32([1, 0, 0, 0])


def write_page(path: str, *clips: ViewerClip) -> None:
  """Writes a page that contains only a viewer of clips."""
  html = panorama_viewer.html(clips)
  with open(path, "w", encoding="utf-8") as f:
    f.write(f"<!DOCTYPE html><title>Viewer</title>{panorama_viewer.assets()}{html}")


def call(page: sync_api.Page, script: str, *arguments):
  """Runs the body of a function of `viewer` and `given` in a page.

  Raises:
    sync_api.Error: it fails, or does not return within half a minute.
  """
  return page.evaluate(
    "(given) => Promise.race([(async () => { "
    "const viewer = document.querySelector('panorama-viewer'); "
    f"const {{ sound }} = viewer.constructor; {script} }})(), new Promise((_, reject) => "
    f"setTimeout(() => reject(new Error('{NO_ANSWER}')), 30000))])",
    arguments,
  )
