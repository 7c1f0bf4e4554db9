"""Writes a sound field as audio, with the 360° video, and as an overlay on the frames."""

import dataclasses
import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

from avssl_tf import keys, progress
from avssl_tf.applications.energy_overlay import WINDOW_SEC, EnergyOverlay
from avssl_tf.applications.field_file import FieldFile
from avssl_tf.applications.field_job import Job
from avssl_tf.data.media import (
  media_copying,
  media_streams,
  media_writing,
  picture_stream,
)
from avssl_tf.data.metadata import spatial_media, spherical_metadata
from avssl_tf.spatial import rendering

# Higher quality than for a preview, because hosting services may re-encode the video.
_OUTPUT_CRF = 17
# About the largest frames of any H.264 level (6.2) are 8192 x 4096. Encoding larger ones takes
# gigabytes of memory.
_MAX_OUTPUT_HEIGHT = 4096


@dataclasses.dataclass(frozen=True)
class Video:
  """Properties of the input after reading it.

  Attributes:
    origin_sec: input time that becomes 0 in the output videos: the earlier start of video and
      audio.
    sound_start_sec: start of the audio, relative to `origin_sec`.
    notes: remarks for the user.
  """

  origin_sec: float
  sound_start_sec: float
  notes: Sequence[str]


def write_wav_file(field: FieldFile, path: str, temporary: str) -> str:
  """Writes the sound field as a WAVE file.

  Returns:
    A description of the output, as a line for the user.
  """
  with open(temporary, "wb") as file:
    media_writing.write_wav(file, field.blocks(), field.sample_rate_hz)
  peak_db = 20.0 * np.log10(max(field.peak, 1e-6))
  return (
    f"Wrote {path}: ambisonics W Y Z X (ACN, SN3D), {field.sample_rate_hz} Hz, 32-bit "
    f"floating point, not scaled (peak {peak_db:+.1f} dB)."
  )


def write_mp4(job: Job, video: Video, field: FieldFile, path: str, temporary: str) -> str:
  """Writes the 360° video with the sound field.

  Returns:
    A description of the output, as a line for the user.
  """
  folder = os.path.dirname(os.path.abspath(path))
  # Metadata is added last, to a copy.
  with tempfile.TemporaryFile(dir=folder) as unmarked, progress.Bar.of_seconds(
    os.path.basename(path), field.duration_sec
  ) as bar:
    sound = media_writing.Sound(
      _scaled(field, field.gain, bar),
      field.sample_rate_hz,
      media_writing.AMBISONIC_LAYOUT,
      video.sound_start_sec,
    )
    with job.open_pictures() as pictures:
      codec = pictures.codec
      copied = pictures.can_be_copied and media_copying.can_copy(job.input, keys.VIDEO)
      # Re-encoded frames show only the left eye.
      packing = pictures.view.packing if copied else spherical_metadata.MONO
      if not copied:
        height = min(pictures.height, _MAX_OUTPUT_HEIGHT) // 2 * 2
        media_writing.write_encoded_mp4(
          unmarked,
          _equirect_frames(pictures, height, video.origin_sec),
          (height, 2 * height),
          pictures.rate_hz,
          sound,
          _OUTPUT_CRF,
        )
    if copied:
      with media_streams.open_streams(job.input, (keys.VIDEO,)) as media:
        media_writing.write_copied_mp4(unmarked, media, video.origin_sec, sound)
    with open(temporary, "wb") as file:
      spatial_media.mark(unmarked, file, packing)
  eyes = "" if packing == spherical_metadata.MONO else f" with both eyes ({packing})"
  how = f"video copied ({codec})" if copied else "video re-encoded as H.264"
  return (
    f"Wrote {path}: {how}{eyes}, ambisonics W Y Z X (ACN, SN3D) in AAC{_lowered(field.gain)}, with "
    "metadata of 360° video and spatial audio."
  )


def write_overlay(job: Job, video: Video, field: FieldFile, path: str, temporary: str) -> str:
  """Writes the video with an energy map of its sound field over the frames.

  Returns:
    A description of the output, as a line for the user.
  """
  with job.open_pictures() as pictures, progress.Bar.of_seconds(
    os.path.basename(path), field.duration_sec
  ) as bar:
    height = min(pictures.height, job.overlay_height, _MAX_OUTPUT_HEIGHT) // 2 * 2
    overlay = EnergyOverlay(field.peak)

    def frames() -> Iterator[tuple[float, np.ndarray]]:
      rate_hz = field.sample_rate_hz
      for time_sec, frame in _equirect_frames(pictures, height, video.origin_sec):
        middle_sec = time_sec - video.sound_start_sec
        start, stop = (round((middle_sec + s * WINDOW_SEC / 2) * rate_hz) for s in (-1, 1))
        yield time_sec, overlay.draw(frame, field.read(start, stop))

    sound = media_writing.Sound(
      (rendering.to_stereo(block).numpy() for block in _scaled(field, field.stereo_gain, bar)),
      field.sample_rate_hz,
      "stereo",
      video.sound_start_sec,
    )
    with open(temporary, "w+b") as file:
      media_writing.write_encoded_mp4(
        file, frames(), (height, 2 * height), pictures.rate_hz, sound
      )
  return (
    f"Wrote {path}: energy map of the sound field over the frames, {2 * height}x{height}, with "
    f"stereo audio{_lowered(field.stereo_gain)}."
  )


def _equirect_frames(
  pictures: picture_stream.PictureStream, height: int, origin_sec: float
) -> Iterator[tuple[float, np.ndarray]]:
  for time_sec, frame in pictures.frames():
    yield time_sec - origin_sec, pictures.to_equirect(frame, height)


def _scaled(field: FieldFile, gain: float, bar: progress.Bar) -> Iterator[np.ndarray]:
  done = 0
  for block in field.blocks():
    yield gain * block
    done += len(block)
    bar.reach(done / field.sample_rate_hz)


def _lowered(gain: float) -> str:
  if gain == 1.0:
    return ""
  return f" (attenuated by {-20.0 * np.log10(gain):.1f} dB to avoid clipping)"
