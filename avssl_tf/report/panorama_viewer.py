"""A viewer of 360° clips for a page: the view turns with the mouse, and the sound stays in place.

A page has `assets()` once and `html(clips)` where the viewer shall be; nothing is loaded from
elsewhere. The browser turns the frames with WebGL. With Web Audio, it decodes the sound field to
loudspeakers around the listener, whose head turns with the view (head-related transfer functions).
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
# The corners of a cube, (x, y, z) with x to the front, y to the left and z up.
LOUDSPEAKERS = np.array(
  [[x, y, z] for z in (1, -1) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
) / np.sqrt(3.0)


@dataclasses.dataclass(frozen=True)
class ViewerClip:
  """A clip as it is looked at and listened to.

  Attributes:
    title: name of the clip.
    frames: uint8 `[T, H, 2 H, 3]`, equirectangular. More than `MAX_FRAMES` are thinned out, higher
      ones than `MAX_FRAME_HEIGHT` are made smaller.
    frame_rate_hz: the first frame is shown from the start of the sound on.
    fields: by name, in the order in which they are offered, float32 `[samples, 4]`, ACN/SN3D.
    sample_rate_hz: of the fields.
  """

  title: str
  frames: np.ndarray
  frame_rate_hz: float
  fields: Mapping[str, np.ndarray]
  sample_rate_hz: int

  def __post_init__(self):
    """Raises UserError: the frames or fields are none, or none that fit each other."""
    if self.frames.ndim != 4 or not len(self.frames) or self.frames.dtype != np.uint8:
      raise UserError(
        f"{self.title}: frames are {self.frames.dtype} {self.frames.shape}; expected uint8 "
        "[T, H, 2 H, 3] with one frame or more."
      )
    equirect.check_shape(*self.frames.shape[1:3], f"{self.title}: a frame")
    for name in ("frame_rate_hz", "sample_rate_hz"):
      if not getattr(self, name) > 0:
        raise UserError(f"{self.title}: {name} is {getattr(self, name)}; expected more than 0.")
    if not self.fields:
      raise UserError(f"{self.title}: there is no sound field; expected one or more.")
    num_samples = len(next(iter(self.fields.values())))
    for name, field in self.fields.items():
      if field.shape != (num_samples, 4) or not num_samples:
        raise UserError(
          f"{self.title}: field {name!r} is {field.shape}; expected [samples, 4], with as many "
          "samples in all fields of a clip."
        )
      if not np.isfinite(field).all():
        raise UserError(f"{self.title}: field {name!r} has samples that are no finite numbers.")

  @property
  def duration_sec(self) -> float:
    """Duration of the sound."""
    return len(next(iter(self.fields.values()))) / self.sample_rate_hz


def assets() -> str:
  """The style and the script of the viewer, for the head of a page: once, however many viewers."""
  style = page.asset("panorama_viewer.css")
  script = "\n".join(page.asset(name) for name in _SCRIPTS)
  return f'<style>\n{style}</style>\n<script type="module">\n{script}</script>'


def html(clips: Sequence[ViewerClip]) -> str:
  """A viewer that shows one of some clips at a time.

  Args:
    clips: at least one, all with fields of the same names.

  Returns:
    A piece of HTML, for a page with `assets()`; both go into it as they are, without escaping.

  Raises:
    UserError: no clip, or the fields have different names.
  """
  if not clips:
    raise UserError("There is no clip to look at; expected one or more.")
  names = list(clips[0].fields)
  for clip in clips:
    if list(clip.fields) != names:
      raise UserError(
        f"{clip.title} has the fields {list(clip.fields)}, {clips[0].title} {names}; expected the "
        "same in all clips of a viewer."
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

  They match the modes of the field, with Y Z X weighted by 1 / sqrt(3). Of the first order, this
  makes the energy vector longest: 1 / sqrt(3), in place of 1 / 2 (max-rE: Daniel, PhD thesis, 2001;
  Zotter and Frank, "Ambisonics", 2019, chapter 4). It points to the source, wherever that is, and
  the signals of the loudspeakers add up to that of the source.
  """
  x, y, z = LOUDSPEAKERS.T
  weight = 3.0 / np.sqrt(3.0)
  matrix = np.stack([np.ones_like(x), weight * y, weight * z, weight * x], axis=-1)
  return matrix / len(LOUDSPEAKERS)


def _transported(clip: ViewerClip) -> dict:
  """What the script gets of a clip: what can be written as JSON."""
  frames, rate_hz = _thinned(clip.frames, clip.frame_rate_hz)
  scale = np.iinfo(np.int16).max / max(1e-12, *(np.abs(f).max() for f in clip.fields.values()))
  # Each channel once: a generated field has its W in common with the true one and with mono.
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
  """Of each field and frame, a matrix A of 4 x 4: the energy from a direction is y' A y.

  y are the harmonics of the direction. Energies are above those of the quietest direction of their
  frame, and relative to the largest of the clip, so that they are in 0..1.
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
    # Frames lie below each other: with coarser colours, these would run from one into the next.
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
  """Sound int16 `[samples]` as FLAC: without loss, about 20% smaller than WAV."""
  file = io.BytesIO()
  # By default, 8 kB would stay free for titles.
  with av.open(file, "w", format="flac", options={"metadata_header_padding": "0"}) as container:
    stream = container.add_stream("flac", rate=sample_rate_hz, layout="mono")
    stream.codec_context.format = "s16"
    frame = av.AudioFrame.from_ndarray(channel[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = sample_rate_hz
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  return file.getvalue()
