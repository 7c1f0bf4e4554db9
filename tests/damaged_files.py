"""Random damage, and small media files of seven containers."""

import os
from fractions import Fraction

import numpy as np

from tests import media_variants

# Names and encoders of common containers.
CONTAINERS = {
  "mp4": dict(video_codec="libx264", audio_codec="aac"),
  "mkv": dict(video_codec="libx264", audio_codec="libopus"),
  "webm": dict(video_codec="libvpx-vp9", audio_codec="libopus"),
  "avi": dict(video_codec="mpeg4", audio_codec="pcm_s16le"),
  "mov": dict(video_codec="mpeg4", audio_codec="pcm_s16le"),
  "ts": dict(video_codec="libx264", audio_codec="aac"),
  "mpg": dict(video_codec="mpeg2video", audio_codec="mp2"),
}
WAYS = ("cut", "flip", "zero", "drop")
DURATION_SEC = 4.0


def write_media(path: str) -> None:
  """Writes 4 s of a real video at 2:1, with a tone; the extension is the container."""
  media_variants.write_media(
    path,
    media_variants.pictures_at(
      media_variants.regular_times(25, end_sec=DURATION_SEC), height=64, width=128
    ),
    media_variants.sine(DURATION_SEC),
    time_base=Fraction(1, 25),
    **CONTAINERS[path.rpartition(".")[2]],
  )


def damage(path: str, way: str, rng: np.random.Generator) -> None:
  """Damages a file in place.

  Args:
    path: path of a file of at least 16 bytes.
    way: "cut": the end is missing, from anywhere on; "flip": 1 to 32 bytes are replaced; "zero": a
      block of up to a fifth is zero; "drop": such a block is missing.
    rng: random number generator for the position.
  """
  with open(path, "rb") as f:
    content = bytearray(f.read())
  size = len(content)
  length = int(rng.integers(8, max(9, size // 5)))
  start = int(rng.integers(0, size - length + 1))
  if way == "cut":
    del content[int(rng.integers(1, size)) :]
  elif way == "flip":
    places = rng.integers(0, size, int(rng.integers(1, 33)))
    for place in places:
      content[place] ^= int(rng.integers(1, 256))
  elif way == "zero":
    content[start : start + length] = bytes(length)
  elif way == "drop":
    del content[start : start + length]
  else:
    raise ValueError(f"{way!r}, expected one of {WAYS}.")
  with open(path, "wb") as f:
    f.write(content)


def damage_one(folder: str, names: list[str], way: str, rng: np.random.Generator) -> str:
  """Damages one of several files of a folder, larger ones more often; returns its name."""
  sizes = np.array([os.path.getsize(os.path.join(folder, name)) for name in names], np.float64)
  weights = np.sqrt(sizes) * (sizes >= 16)
  name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
  damage(os.path.join(folder, name), way, rng)
  return name
