"""Creates small malicious media files: absurd headers, jumping timestamps, huge frames."""

import os
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction

import av
import cv2
import numpy as np

YEAR_SEC = 365 * 24 * 3600
# A second of audio and of video.
SECOND = tuple(k / 10 for k in range(10))


def noise(count: int) -> bytes:
  """Samples of 16 bits."""
  return np.random.default_rng(0).integers(-3000, 3000, count).astype("<i2").tobytes()


def write_wav(
  path: str, rate_hz: int, num_samples: int = 40000, num_channels: int = 1, claimed_bytes=None
) -> str:
  """Writes a 16-bit WAV with the given header; returns its path."""
  data = noise(num_samples * num_channels)
  claimed = len(data) if claimed_bytes is None else claimed_bytes
  block = 2 * num_channels
  rate_of_bytes = rate_hz * block & 0xFFFFFFFF
  header = struct.pack("<HHIIHH", 1, num_channels, rate_hz, rate_of_bytes, block, 16)
  with open(path, "wb") as f:
    f.write(b"RIFF" + struct.pack("<I", min(claimed + 36, 0xFFFFFFFF)) + b"WAVEfmt ")
    f.write(struct.pack("<I", 16) + header + b"data" + struct.pack("<I", claimed) + data)
  return path


def write_rf64(path: str, claimed_bytes: int) -> str:
  """Writes a 48 kHz RF64 file that claims this number of bytes of audio; returns its path."""
  header = struct.pack("<HHIIHH", 1, 1, 48000, 96000, 2, 16)
  sizes = struct.pack("<IQQQI", 28, claimed_bytes + 72, claimed_bytes, claimed_bytes // 2, 0)
  with open(path, "wb") as f:
    f.write(b"RF64" + b"\xff" * 4 + b"WAVEds64" + sizes + b"fmt " + struct.pack("<I", 16) + header)
    f.write(b"data" + b"\xff" * 4 + noise(40000))
  return path


def write_at(
  path: str,
  picture_times_sec: Sequence[float],
  sound_times_sec: Sequence[float],
  size: tuple[int, int] = (32, 64),
) -> str:
  """Writes frames, and blocks of 0.1 s of audio, with these start times; returns the path."""
  picture = np.zeros((*size, 3), np.uint8)
  picture[::2] = 160
  jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
  return write_packets(path, "mjpeg", [(t, jpeg) for t in picture_times_sec], sound_times_sec, size)


def write_packets(
  path: str,
  codec: str,
  pictures: Sequence[tuple[float, bytes]],
  sound_times_sec: Sequence[float],
  size: tuple[int, int],
) -> str:
  """Writes encoded frames, and blocks of 0.1 s of audio; returns the path."""
  packets = []
  with av.open(path, "w") as output:
    video = output.add_stream(codec, rate=25)
    video.height, video.width = size
    video.pix_fmt = "gray" if codec == "png" else "yuvj420p"
    sound = output.add_stream("pcm_s16le", rate=8000, layout="mono")
    for stream, items in (
      (video, pictures), (sound, [(t, noise(800)) for t in sound_times_sec])
    ):  # fmt: skip
      for time_sec, data in items:
        packet = av.Packet(data)
        packet.stream, packet.is_keyframe = stream, True
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = round(time_sec * 1000)
        packets.append(packet)
    for packet in sorted(packets, key=lambda p: p.dts):
      output.mux(packet)
  return path


def png(height: int, width: int) -> bytes:
  """A black 8-bit PNG; 16,000 x 16,000 pixels take 250 kB."""
  compressor = zlib.compressobj(9)
  row = bytes(1 + width)
  data = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()

  def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum

  header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
  return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg(height: int, width: int) -> bytes:
  """A JPEG of a few hundred bytes with a header that claims this size."""
  small = cv2.imencode(".jpg", np.zeros((32, 64, 3), np.uint8))[1].tobytes()
  at = small.index(b"\xff\xc0") + 5
  return small[:at] + struct.pack(">HH", height, width) + small[at + 4 :]


def peak_memory_mb() -> float:
  """Peak memory of this process since `reset_peak_memory`, minus its current memory."""
  with open("/proc/self/status", encoding="utf-8") as f:
    fields = dict(line.split(":", 1) for line in f)
  peak, now = (int(fields[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
  return peak - now


def reset_peak_memory() -> None:
  """Resets the peak of `peak_memory_mb`, if the system supports it."""
  if os.access("/proc/self/clear_refs", os.W_OK):
    with open("/proc/self/clear_refs", "w", encoding="utf-8") as f:
      f.write("5")
