"""An HTML viewer of 360° clips with a rotatable view and binaural sound.

A page contains `assets()` once and `html(clips)` for each viewer; no other files are loaded. The
browser renders the view with WebGL. With Web Audio, it decodes the sound field to virtual
loudspeakers around the listener and renders them with head-related transfer functions; the
listener's head turns with the view.
"""

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence

import av
import cv2
import numpy as np

from avssl_tf.errors import UserError
from avssl_tf.report import page
from avssl_tf.spatial import ambisonics, equirect

MAX_FRAMES = 32
MAX_FRAME_HEIGHT = 256
_SCRIPTS = ("panorama_picture.js", "panorama_sound.js", "panorama_viewer.js")
_JPEG_QUALITY = 85
_ENERGY_HEIGHT = 45
# Corners of a cube, (x, y, z), with x to the front, y to the left and z up.
LOUDSPEAKERS = np.array(
  [[x, y, z] for z in (1, -1) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
) / np.sqrt(3.0)


@dataclasses.dataclass(frozen=True)
class ViewerClip:
  """A clip for the viewer.

  Attributes:
    title: name of the clip.
    frames: uint8 `[T, H, 2 H, 3]`, equirectangular. The viewer uses at most `MAX_FRAMES` frames of
      at most `MAX_FRAME_HEIGHT` pixels in height.
    frame_rate_hz: frame rate; the first frame starts with the audio.
    fields: sound fields by name, in the order of the menu: float32 `[samples, 4]`, ACN/SN3D.
    sample_rate_hz: sample rate of the fields.
  """

  title: str
  frames: np.ndarray
  frame_rate_hz: float
  fields: Mapping[str, np.ndarray]
  sample_rate_hz: int

  def __post_init__(self):
    """Checks the fields.

    Raises:
      UserError: there are no frames or sound fields, or they have invalid shapes or values.
    """
    if self.frames.ndim != 4 or not len(self.frames) or self.frames.dtype != np.uint8:
      raise UserError(
        f"{self.title}: frames are {self.frames.dtype} {self.frames.shape}; expected uint8 "
        "[T, H, 2 H, 3] with at least one frame."
      )
    equirect.check_shape(*self.frames.shape[1:3], f"{self.title}: a frame")
    for name in ("frame_rate_hz", "sample_rate_hz"):
      if not getattr(self, name) > 0:
        raise UserError(f"{self.title}: {name} is {getattr(self, name)}; expected more than 0.")
    if not self.fields:
      raise UserError(f"{self.title}: there is no sound field; expected at least one.")
    num_samples = len(next(iter(self.fields.values())))
    for name, field in self.fields.items():
      if field.shape != (num_samples, 4) or not num_samples:
        raise UserError(
          f"{self.title}: field {name!r} has shape {field.shape}; expected [samples, 4], with the "
          "same number of samples in all fields of a clip."
        )
      if not np.isfinite(field).all():
        raise UserError(f"{self.title}: field {name!r} contains NaN or infinity.")

  @property
  def duration_sec(self) -> float:
    """Duration of the audio."""
    return len(next(iter(self.fields.values()))) / self.sample_rate_hz


def assets() -> str:
  """Style and script of the viewer for the head of a page, once for all viewers."""
  style = page.asset("panorama_viewer.css")
  script = "\n".join(page.asset(name) for name in _SCRIPTS)
  return f'<style>\n{style}</style>\n<script type="module">\n{script}</script>'


def html(clips: Sequence[ViewerClip]) -> str:
  """HTML of a viewer with a menu of clips.

  Args:
    clips: at least one clip; the fields of all clips must have the same names.

  Returns:
    HTML for a page with `assets()`; insert both without escaping.

  Raises:
    UserError: there is no clip, or the names of the fields differ.
  """
  if not clips:
    raise UserError("There is no clip; expected at least one.")
  names = list(clips[0].fields)
  for clip in clips:
    if list(clip.fields) != names:
      raise UserError(
        f"{clip.title} has the fields {list(clip.fields)}, {clips[0].title} has {names}; expected "
        "the same fields in all clips of a viewer."
      )
  data = {
    "loudspeakers": LOUDSPEAKERS.tolist(),
    "decoder": decoding_matrix().tolist(),
    "clips": [_transported(clip) for clip in clips],
  }
  titles = [clip.title for clip in clips]
  return page.fragment("panorama_viewer.html", data=data, names=names, titles=titles)


def decoding_matrix() -> np.ndarray:
  """Gains from W Y Z X (SN3D) to `LOUDSPEAKERS`, float64 `[8, 4]`.

  Mode-matching decoding with Y Z X weighted by 1 / sqrt(3). For the first order, this maximises the
  length of the energy vector: 1 / sqrt(3) instead of 1 / 2 (max-rE: Daniel, PhD thesis, 2001;
  Zotter and Frank, "Ambisonics", 2019, chapter 4). The energy vector points to the source in every
  direction, and the loudspeaker signals sum to the source signal.
  """
  x, y, z = LOUDSPEAKERS.T
  weight = 3.0 / np.sqrt(3.0)
  matrix = np.stack([np.ones_like(x), weight * y, weight * z, weight * x], axis=-1)
  return matrix / len(LOUDSPEAKERS)


def _transported(clip: ViewerClip) -> dict:
  """Data of a clip for the script, as JSON values."""
  frames, rate_hz = _thinned(clip.frames, clip.frame_rate_hz)
  scale = np.iinfo(np.int16).max / max(1e-12, *(np.abs(f).max() for f in clip.fields.values()))
  # Each channel is stored once: generated, true and mono fields have the same W.
  channels: list[np.ndarray] = []
  numbers: dict[str, list] = {}
  for name, field in clip.fields.items():
    numbers[name] = []
    for channel in np.round(field.T * scale).astype(np.int16, order="C"):
      known = [i for i, other in enumerate(channels) if np.array_equal(channel, other)]
      if not known and channel.any():
        known = [len(channels)]
        channels.append(channel)
      numbers[name].append(known[0] if known else None)  # None is silence.
  return {
    "frames": _data_uri("image/jpeg", _jpeg(frames.reshape(-1, *frames.shape[2:]))),
    "numFrames": len(frames),
    "frameRateHz": rate_hz,
    "durationSec": clip.duration_sec,
    "channels": [_data_uri("audio/flac", _flac(c, clip.sample_rate_hz)) for c in channels],
    "fields": numbers,
    "energies": _energies(clip.fields, clip.sample_rate_hz, len(frames), rate_hz),
  }


def _thinned(frames: np.ndarray, frame_rate_hz: float) -> tuple[np.ndarray, float]:
  count = min(len(frames), MAX_FRAMES)
  chosen = frames[((np.arange(count) + 0.5) * len(frames) / count).astype(int)]
  if chosen.shape[1] > MAX_FRAME_HEIGHT:
    size = (2 * MAX_FRAME_HEIGHT, MAX_FRAME_HEIGHT)
    chosen = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in chosen])
  return chosen, frame_rate_hz * count / len(frames)


def _energies(
  fields: Mapping[str, np.ndarray], sample_rate_hz: float, num_frames: int, frame_rate_hz: float
) -> dict[str, list]:
  """For each field and frame, a 4 x 4 matrix A: the energy from a direction is y' A y.

  y contains the spherical harmonics of the direction. The minimum over the directions of each frame
  is subtracted, and energies are divided by the maximum of the clip: they are in 0..1.
  """
  angles = ambisonics.pixel_directions(_ENERGY_HEIGHT, 2 * _ENERGY_HEIGHT)
  harmonics = ambisonics.harmonics(*angles, order=1).numpy().reshape(-1, 4)
  edges = (np.arange(num_frames + 1) / frame_rate_hz * sample_rate_hz).round().astype(int)
  matrices = {}
  for name, field in fields.items():
    parts = [field[start:end].astype(np.float64) for start, end in zip(edges, edges[1:])]
    matrices[name] = np.stack([part.T @ part / max(len(part), 1) for part in parts])
    power = np.einsum("pc,tcd,pd->tp", harmonics, matrices[name], harmonics)
    matrices[name][:, 0, 0] -= power.min(axis=1)
  largest = max(
    np.einsum("pc,tcd,pd->tp", harmonics, matrix, harmonics).max() for matrix in matrices.values()
  )
  return {
    name: np.round(matrix / max(largest, 1e-12), 5).reshape(num_frames, 16).tolist()
    for name, matrix in matrices.items()
  }


def _data_uri(kind: str, data: bytes) -> str:
  return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _jpeg(picture: np.ndarray) -> bytes:
  parameters = [
    cv2.IMWRITE_JPEG_QUALITY,
    _JPEG_QUALITY,
    # Frames are stacked vertically: chroma subsampling would mix the colours of adjacent frames.
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    cv2.IMWRITE_JPEG_OPTIMIZE,
    1,
  ]
  done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), parameters)
  if not done:
    raise UserError(f"OpenCV could not encode frames of shape {picture.shape}.")
  return jpeg.tobytes()


def _flac(channel: np.ndarray, sample_rate_hz: int) -> bytes:
  """Audio, int16 `[samples]`, as FLAC: lossless, about 20% smaller than WAV."""
  file = io.BytesIO()
  # By default, 8 kB would be reserved for metadata.
  with av.open(file, "w", format="flac", options={"metadata_header_padding": "0"}) as container:
    stream = container.add_stream("flac", rate=sample_rate_hz, layout="mono")
    stream.codec_context.format = "s16"
    frame = av.AudioFrame.from_ndarray(channel[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = sample_rate_hz
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return file.getvalue()
