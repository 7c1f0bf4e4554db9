"""Segmentation maps of YT-360, as the authors of AVSA give them beside their lists.

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, section 5.3: what a panoptic network saw in the equirectangular frames, four times a second,
of which the evaluation keeps 32 classes.
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
# Numbers as in the files, where things (80 classes of COCO) come before stuff (54 more).
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
  """The maps that are nearest to some times.

  Args:
    folder: of the maps of a video file: `things-0000.png` and `stuff-0000.png` at its start, and
      so on, `RATE_HZ` a second. Of two maps that are equally near, the earlier counts.
    time_sec: float `[T]`, times in the file.
    height: of the maps wanted, in pixels; they are twice as wide.

  Returns:
    uint8 `[T, height, 2 * height]`: positions in `CLASSES`, and `UNKNOWN_CLASS`: of another class
    or none. All of it is unknown where there is no such folder.

  Raises:
    MediaError: there are no maps in the folder, or one is not what it should be.
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
      f"the segmentation maps {number} in {folder!r} have the shapes {things.shape} and "
      f"{stuff.shape}; expected the same for things and stuff"
    )
  both = np.where(things == _NUM_THINGS, stuff + _NUM_THINGS, things)
  size = (2 * height, height)
  return cv2.resize(_NUMBERS[both], size, interpolation=cv2.INTER_NEAREST)


def _classes(path: str, none: int) -> np.ndarray:
  """Classes of pixels, `none` where there is none: int64 `[H, 2H]`."""
  try:
    jpeg.check_size(path, f"the segmentation map {path!r}", "PNG", media_limits.MAX_STORED_PIXELS)
  except ValueError as error:
    raise MediaError(str(error)) from error
  # Not by its name, which OpenCV reads only where it is UTF-8.
  picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
  if picture is None:
    raise MediaError(f"the segmentation map {path!r} is no picture that can be read")
  red = picture[..., 2].astype(np.int64)
  if red.max() > none:
    raise MediaError(
      f"the segmentation map {path!r} has the class {red.max()}; expected 0..{none}, which is none"
    )
  return red
