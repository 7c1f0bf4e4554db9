"""Segmentation maps of YT-360, as published by the authors of AVSA together with their lists.

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, section 5.3: predictions of a panoptic segmentation network for the equirectangular frames,
four per second. The evaluation uses 32 of their classes.
"""

import os
import re

import cv2
import numpy as np

from avssl_tf.data.media import media_limits
from avssl_tf.data.media.clip_reading import MediaError
from avssl_tf.data.records import jpeg

UNKNOWN_CLASS = 255
RATE_HZ = 4.0
# Class numbers of the files: 80 "thing" classes of COCO, then 54 "stuff" classes.
CLASSES = {
  0: "person", 2: "car", 4: "airplane", 8: "boat", 3: "motorcycle", 6: "train", 62: "tv",
  56: "chair", 60: "dining table", 55: "cake", 59: "bed", 25: "umbrella", 5: "bus", 7: "truck",
  58: "potted plant", 66: "keyboard", 120: "sky", 132: "wall", 117: "tree", 119: "ceiling",
  130: "building", 123: "floor", 126: "grass", 101: "road", 125: "mountain", 124: "pavement",
  106: "snow", 127: "dirt", 131: "rock", 104: "sea", 103: "sand", 116: "window",
}  # fmt: skip
_NUM_THINGS, _NUM_STUFF = 80, 54
_NUMBERS = np.full(256, UNKNOWN_CLASS, np.uint8)
_NUMBERS[list(CLASSES)] = np.arange(len(CLASSES))


def read(folder: str, time_sec: np.ndarray, height: int) -> np.ndarray:
  """Reads the maps that are nearest to the given times.

  Args:
    folder: folder with the maps of a video file: `things-0000.png` and `stuff-0000.png` for its
      start, and so on, at `RATE_HZ`. If two maps are equally near, the earlier one is used.
    time_sec: float `[T]`, times in the file.
    height: height of the output in pixels; the width is twice as large.

  Returns:
    uint8 `[T, height, 2 * height]`: positions in `CLASSES`, or `UNKNOWN_CLASS` for other classes or
    none. All values are `UNKNOWN_CLASS` if the folder does not exist.

  Raises:
    MediaError: the folder has no maps, or a map is invalid.
  """
  if not os.path.isdir(folder):
    return np.full([len(time_sec), height, 2 * height], UNKNOWN_CLASS, np.uint8)
  names = set(os.listdir(folder))
  found = [re.fullmatch(r"things-(\d+)\.png", name) for name in sorted(names)]
  numbers = [m[1] for m in found if m and f"stuff-{m[1]}.png" in names]
  if not numbers:
    raise MediaError(f"no segmentation maps things-0000.png and stuff-0000.png in {folder!r}")
  distance = np.abs(np.array([int(n) for n in numbers]) / RATE_HZ - time_sec[:, np.newaxis])
  nearest = np.argmin(distance, axis=1)
  maps = {i: _map(folder, numbers[i], height) for i in np.unique(nearest)}
  return np.stack([maps[i] for i in nearest])


def _map(folder: str, number: str, height: int) -> np.ndarray:
  things = _classes(os.path.join(folder, f"things-{number}.png"), _NUM_THINGS)
  stuff = _classes(os.path.join(folder, f"stuff-{number}.png"), _NUM_STUFF)
  if things.shape != stuff.shape:
    raise MediaError(
      f"the segmentation maps {number} in {folder!r} have different shapes: {things.shape} for "
      f"things and {stuff.shape} for stuff"
    )
  both = np.where(things == _NUM_THINGS, stuff + _NUM_THINGS, things)
  size = (2 * height, height)
  return cv2.resize(_NUMBERS[both], size, interpolation=cv2.INTER_NEAREST)


def _classes(path: str, none: int) -> np.ndarray:
  """Class of each pixel, `none` for unlabelled pixels: int64 `[H, 2H]`."""
  try:
    jpeg.check_size(path, f"the segmentation map {path!r}", "PNG", media_limits.MAX_STORED_PIXELS)
  except ValueError as error:
    raise MediaError(str(error)) from error
  # Not by name: OpenCV opens only files with UTF-8 names.
  image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
  if image is None:
    raise MediaError(f"the segmentation map {path!r} cannot be decoded")
  red = image[..., 2].astype(np.int64)
  if red.max() > none:
    raise MediaError(
      f"the segmentation map {path!r} has the value {red.max()}; expected 0..{none} ({none}: no "
      "class)"
    )
  return red
