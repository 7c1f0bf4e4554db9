"""Optical flow of equirectangular frames, encoded as images.

The flow is computed by OpenCV's DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse
Search", ECCV 2016) on circularly padded frames, because the left and the right edge are adjacent.
The table lists the mean error in pixels (both directions together) and the time per frame: for
whole frames that are rotated by known numbers of columns (film of 448 x 224 pixels, with noise, and
the 360° demo world of 128 x 64), and for the objects of that world, which move by 2.8 pixels on
average:

| | film rotated | ms | world rotated | objects | ms |
|---|---|---|---|---|---|
| DIS, all pixels | 0.17 | 54 | 0.00 | 0.52 | 6.6 |
| DIS, every second pixel | 0.10 | 15 | 0.03 | 0.91 | 1.7 |
| Farneback, window of 15 | 1.12 | 35 | 1.03 | 0.43 | 2.5 |

Small frames use all pixels. Large frames use every second pixel, with interpolation.
"""

import cv2
import numpy as np

from avssl_tf.errors import UserError
from avssl_tf.spatial import equirect

# Full scale of the encoding: motion by a sixteenth of the width per frame.
FULL_SCALE_RAD = np.pi / 8
# The value of no motion.
STILL = 128
_STEPS = 127
# Maximum height of frames that use all pixels.
_SMALL_HEIGHT = 128
# Padding on each side, as a fraction of the width; much larger than any motion.
_CONTINUED = 1 / 4


def flow_pictures(frames: np.ndarray) -> np.ndarray:
  """Optical flow from each frame to the next, encoded as images.

  Args:
    frames: uint8 `[T, H, 2H, 3]`, RGB, equirectangular.

  Returns:
    uint8 `[T, H, 2H, 3]`. The channels are the motion to the right, the motion downwards, and the
    length of the motion vector, as angles (a pixel is 2 pi / 2H in both directions), encoded as
    `STILL + 127 * clip(angle / FULL_SCALE_RAD, -1, 1)`, rounded. The last image repeats the one
    before it, the motion from the second-to-last to the last frame. A single frame has no motion.

  Raises:
    UserError: the frames have another type or shape.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.spatial import optical_flow
    >>> images = optical_flow.flow_pictures(np.zeros([1, 32, 64, 3], np.uint8))
    >>> images[0, 0, 0].tolist()  # A single frame: no motion.
    [128, 128, 128]
  """
  if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
    raise UserError(f"Frames are {frames.dtype} {frames.shape}; expected uint8 [T, H, 2H, 3].")
  height, width = frames.shape[1:3]
  equirect.check_shape(height, width, "A frame")
  pictures = np.full(frames.shape, STILL, np.uint8)
  if len(frames) == 1:
    return pictures
  estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
  estimator.setFinestScale(0 if height <= _SMALL_HEIGHT else 1)
  margin = round(width * _CONTINUED)
  continued = [_continued(frame, margin) for frame in frames]
  for number, (frame, following) in enumerate(zip(continued, continued[1:])):
    flow = estimator.calc(frame, following, None)[:, margin : margin + width]
    pictures[number] = _picture(flow * np.float32(2 * np.pi / width))
  pictures[-1] = pictures[-2]
  return pictures


def angles(pictures: np.ndarray) -> np.ndarray:
  """Decodes flow images to motion: the inverse of `flow_pictures`, except for quantisation.

  Args:
    pictures: uint8 `[..., 3]`.

  Returns:
    float32 `[..., 2]`, in -FULL_SCALE_RAD..FULL_SCALE_RAD: motion to the right and downwards, in
    radians per frame.
  """
  shares = (pictures[..., :2].astype(np.float32) - STILL) / _STEPS
  return np.clip(shares, -1, 1) * np.float32(FULL_SCALE_RAD)


def _continued(frame: np.ndarray, margin: int) -> np.ndarray:
  """Lightness of a frame, circularly padded by `margin` columns on each side."""
  lightness = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
  return np.concatenate([lightness[:, -margin:], lightness, lightness[:, :margin]], axis=1)


def _picture(motion_rad: np.ndarray) -> np.ndarray:
  length = np.linalg.norm(motion_rad, axis=-1, keepdims=True)
  shares = np.concatenate([motion_rad, length], axis=-1) / FULL_SCALE_RAD
  return np.round(STILL + _STEPS * np.clip(shares, -1, 1)).astype(np.uint8)
