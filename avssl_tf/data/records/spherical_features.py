"""Additional features of records of 360° clips."""

import cv2
import numpy as np
import tensorflow as tf

from avssl_tf.data.clip_content import EQUIRECTANGULAR, Content
from avssl_tf.data.records import schema, tf_features
from avssl_tf.data.records.jpeg import JpegSettings, encode_frames
from avssl_tf.errors import UserError
from avssl_tf.spatial import ambisonics, equirect

AMBISONICS = "ACN/SN3D"
# The channels of optical flow images are not colours: chroma subsampling would blur them. The mean
# error is 0.3 of 255 steps on film of 448 x 224 pixels, at 5.7 KB per frame compared with 19.4 KB
# as PNG, and 0.8 on the 360° demo world of 128 x 64, at 2.4 KB compared with 8.6 KB.
FLOW_JPEG = JpegSettings(quality=95, max_bytes_per_sec=None, chroma="4:4:4")


def add(
  context: dict[str, tf.train.Feature],
  lists: dict[str, list[tf.train.Feature]],
  content: Content,
) -> None:
  """Adds the features of a 360° clip to a record; no effect for ordinary clips.

  Raises:
    UserError: the frames are not 2:1, the audio is not ambisonics, or the ground truth or flow does
      not match the frames.
  """
  _check(content)
  if content.projection is None:
    return
  context[schema.PROJECTION] = tf_features.bytes_list([content.projection.encode()])
  if content.waveform is not None:
    context[schema.AMBISONICS] = tf_features.bytes_list([AMBISONICS.encode()])
  if content.frames is not None and content.tracks is not None:
    tracks = content.tracks
    context[schema.OBJECT_LABEL] = tf_features.int64_list(tracks.labels)
    context[schema.OBJECT_IS_SOUNDING] = tf_features.int64_list(tracks.is_sounding.astype(int))
    lists[schema.OBJECT_AZIMUTH] = [tf_features.float_list(step) for step in tracks.azimuth_rad]
    lists[schema.OBJECT_ELEVATION] = [tf_features.float_list(step) for step in tracks.elevation_rad]
  if content.frames is not None and content.masks is not None:
    context[schema.MASK_FORMAT] = tf_features.bytes_list([b"PNG"])
    lists[schema.MASK_ENCODED] = [tf_features.bytes_list([_png(mask)]) for mask in content.masks]
  if content.frames is not None and content.flow is not None:
    context[schema.FLOW_FORMAT] = tf_features.bytes_list([b"JPEG"])
    # The frame rate has no effect without a bound on bytes.
    encoded = encode_frames(content.flow, 1.0, FLOW_JPEG)
    lists[schema.FLOW_ENCODED] = [tf_features.bytes_list([image]) for image in encoded]


def _check(content: Content) -> None:
  if content.projection is None:
    if any(part is not None for part in (content.tracks, content.masks, content.flow)):
      raise UserError("Tracks, masks and flow require a 360° clip; this clip has no projection.")
    return
  if content.projection != EQUIRECTANGULAR:
    raise UserError(f"The projection is {content.projection!r}; expected {EQUIRECTANGULAR!r}.")
  if content.frames is not None:
    equirect.check_shape(*content.frames.shape[1:3], "A frame of a 360° clip")
    _check_truth(content)
  if content.waveform is not None:
    ambisonics.order_of(content.waveform.shape[1])


def _check_truth(content: Content) -> None:
  num_frames = len(content.frames)
  if content.tracks is not None:
    tracks = content.tracks
    shapes = {
      "labels": (tracks.labels.shape, (len(tracks.labels),)),
      "is_sounding": (tracks.is_sounding.shape, (len(tracks.labels),)),
      "azimuth_rad": (tracks.azimuth_rad.shape, (num_frames, len(tracks.labels))),
      "elevation_rad": (tracks.elevation_rad.shape, (num_frames, len(tracks.labels))),
    }
    for name, (found, expected) in shapes.items():
      if found != expected:
        raise UserError(f"Tracks.{name} has the shape {found}; expected {expected}.")
  if content.masks is not None:
    expected = content.frames.shape[:3]
    if content.masks.shape != expected or content.masks.dtype != np.uint8:
      raise UserError(
        f"Masks are {content.masks.dtype} {content.masks.shape}; expected uint8 {expected}, one "
        "per frame."
      )
  if content.flow is not None:
    expected = content.frames.shape
    if content.flow.shape != expected or content.flow.dtype != np.uint8:
      raise UserError(
        f"Flow is {content.flow.dtype} {content.flow.shape}; expected uint8 {expected}, one "
        "image per frame."
      )


def _png(mask: np.ndarray) -> bytes:
  done, png = cv2.imencode(".png", mask)
  if not done:
    raise UserError(f"OpenCV could not encode a mask of shape {mask.shape}.")
  return png.tobytes()
