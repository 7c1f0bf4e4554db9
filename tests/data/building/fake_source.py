"""A source of tiny clips, read from text files that specify their behaviour.

As a script it builds a data set, on the Ray cluster at ADDRESS if that is given:
`python fake_source.py INPUT_DIR OUTPUT_DIR NUM_WORKERS [ADDRESS]`.
"""

import dataclasses
import os
import sys
import time
import zlib
from typing import ClassVar

import numpy as np

from avssl_tf.data.building.build import build
from avssl_tf.data.building.plan import Cutting
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.clip_content import Content, PlannedClip
from avssl_tf.data.media.clip_reading import MediaError
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.engines import engine_choice
from avssl_tf.spectrograms import Spectrogram

SPECTROGRAM = Spectrogram(sample_rate_hz=800, fft_length=64, hop_length=8, num_bins=33)


@dataclasses.dataclass(frozen=True)
class FakeReader:
  """Reads files such as "4.0" (seconds), "unreadable", or "4.0 bad 2.0" (the clip there fails)."""

  delay_sec: float = 0.0
  frame_rate_hz: ClassVar[float] = 4.0
  sample_rate_hz: ClassVar[int] = 800
  num_channels: ClassVar[int] = 1
  projection: ClassVar[None] = None
  needs_probe: ClassVar[bool] = True

  def probe(self, path, modalities):
    words = _words(path)
    if words[0] == "unreadable":
      raise MediaError("not a video: it is a test")
    return float(words[0]), 1

  def read(self, clip: PlannedClip, modalities) -> Content:
    time.sleep(self.delay_sec)
    words = _words(clip.path)
    if "bad" in words and clip.start_us == float(words[2]) * 1e6:
      raise MediaError(f"damaged: at {words[2]} s")
    seconds = (clip.end_us - clip.start_us) / 1e6
    seed = zlib.crc32(f"{os.path.basename(clip.path)} {clip.start_us}".encode())
    rng = np.random.default_rng(seed)
    num_frames = round(seconds * self.frame_rate_hz)
    content = Content(
      rng.integers(0, 255, (num_frames, 16, 24, 3), np.uint8),
      np.arange(num_frames) * 250_000,
      rng.uniform(-0.9, 0.9, (round(seconds * 800), 1)).astype(np.float32),
    )
    if "video" not in modalities:
      content = dataclasses.replace(content, frames=None, timestamps_us=None)
    return content if "audio" in modalities else dataclasses.replace(content, waveform=None)


def _words(path):
  with open(path, encoding="utf-8") as f:
    return f.read().split()


def write_files(directory, texts) -> None:
  """Writes the files 00, 01, ... with the given texts; skips unchanged files."""
  os.makedirs(directory, exist_ok=True)
  for number, text in enumerate(texts):
    path = os.path.join(directory, f"{number:02d}")
    if not os.path.exists(path) or _words(path) != text.split():
      with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def recipe(directory, delay_sec=0.0, **changes) -> Recipe:
  """A recipe of all files of a folder: every fourth is a test file; classes "even" and "odd"."""
  names = sorted(name for name in os.listdir(directory) if name.isdigit())
  requests = [
    ClipRequest(
      "test" if number % 4 == 3 else "train",
      os.path.join(directory, name),
      None,
      None,
      (("even", "odd")[number % 2],),
      name,
    )
    for number, name in enumerate(names)
  ]
  arguments = {
    "name": "fake",
    "requests": requests,
    "label_names": ["even", "odd"],
    "reader": FakeReader(delay_sec),
    "cutting": Cutting(2.0, 1.0),
    "num_shards": 3,
    "spectrogram": SPECTROGRAM,
  }
  return Recipe(**{**arguments, **changes})


if __name__ == "__main__":
  inputs, output, count, *address = sys.argv[1:]
  engine = engine_choice.choose("ray" if address else "local", int(count), *address or [None])
  settings = {"num_shards": 6} if address else {}
  build(recipe(inputs, delay_sec=0.05, **settings), output, max_failure_rate=0.9, engine=engine)
