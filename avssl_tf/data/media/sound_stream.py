"""Streams the audio of a file of any length as a mono signal, block by block.

Unlike in training clips, damage is not an error: audio that cannot be decoded is replaced by
silence, and counted.
"""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Optional

import av
import numpy as np

from avssl_tf import keys
from avssl_tf.data.media import (
  decoding,
  media_extent,
  media_limits,
  media_sound,
  media_streams,
  sound_field,
)
from avssl_tf.data.media.media_streams import MediaError

# Containers round the times of packets: up to this difference, successive frames are contiguous.
_GAP_TOLERANCE_SEC = 0.02
# Layouts of audio without metadata that is read as ambisonics of orders 1 to 3. Loudspeaker audio
# in the layout "4.0" is rare. Other layouts are mixed.
_AMBISONIC_LAYOUTS = frozenset(
  {"4.0", "4 channels", "9 channels", "16 channels", "hexadecagonal"}
  | {f"ambisonic {order}" for order in (1, 2, 3)}
)


@contextlib.contextmanager
def open_mono(
  path: str, sample_rate_hz: int, audio_track: Optional[int] = None
) -> Iterator["MonoStream"]:
  """Opens the audio of a file.

  Args:
    path: the file.
    sample_rate_hz: rate to which the audio is resampled.
    audio_track: number of the audio track, from 1. None selects the default track.

  Raises:
    MediaError: no such file, not a media file, or no decodable audio.
  """
  with media_streams.open_streams(path, (keys.AUDIO,), audio_track) as media:
    yield MonoStream(path, media, sample_rate_hz)


class MonoStream:
  """The audio of an open file.

  Attributes:
    start_sec: time of the first sample, in container time.
    estimated_end_sec: end of the audio, estimated beforehand; None if unknown.
    made_from: description of the channel or mix that is used, for the user.
    num_damaged: number of packets and frames replaced by silence so far.
    num_samples: number of samples so far.
    gap_sec: total duration so far of gaps in the audio, filled with silence.
  """

  def __init__(self, path: str, media: media_streams.MediaStreams, sample_rate_hz: int):
    """Decodes the first frame."""
    self.num_damaged = 0
    self.num_samples = 0
    self.gap_sec = 0.0
    self._media = media
    self._rate_hz = sample_rate_hz
    self._frames = self._decoded()
    first = next(self._frames, None)
    if first is None:
      raise MediaError("truncated or damaged: the audio stream contains nothing to decode")
    media_limits.check_sound(first.sample_rate, len(first.layout.channels))
    self._first = first
    self.start_sec = media_streams.frame_time_sec(first)
    self.estimated_end_sec = media_extent.estimated_end_sec(media, media.audio)
    # Stored as a number, because the memory of a stream is freed when its file is closed.
    self._promised_end_sec = media_extent.promised_end_sec(media, media.audio)
    self._channel, self._gain, self.made_from = _choose(path, media.audio, first)

  def blocks(self) -> Iterator[np.ndarray]:
    """All samples in consecutive blocks, float32 `[samples]`; may be called only once.

    Raises:
      MediaError: the container ends prematurely, or the audio changes its rate or channels.
    """
    num_decoded = 0

    def counted() -> Iterator[np.ndarray]:
      nonlocal num_decoded
      for samples in self._without_padding(self._contiguous()):
        num_decoded += samples.shape[1]
        yield samples

    def missing() -> int:
      due = num_decoded * self._rate_hz / self._first.sample_rate
      return round(due) - self.num_samples

    # A resampling filter delays its output until it is flushed, and may produce a few samples more
    # or less.
    for block in self._resampled(counted()):
      block = block[: missing()]
      self.num_samples += len(block)
      yield block
    if missing() > 0:
      end = np.zeros(missing(), np.float32)
      self.num_samples += len(end)
      yield end

  @property
  def stored_rate_hz(self) -> int:
    """Sample rate of the stored audio."""
    return self._first.sample_rate

  @property
  def stored_layout(self) -> str:
    """FFmpeg's name of the stored channel layout."""
    return self._mixed_layout()

  def stored_blocks(self) -> Iterator[np.ndarray]:
    """All samples of all channels as stored; use instead of `blocks`.

    Yields:
      Consecutive blocks, float32 `[samples, channels]`, at `stored_rate_hz`.

    Raises:
      MediaError: see `blocks`.
    """
    self._channel = None
    for samples in self._without_padding(self._contiguous()):
      yield samples.T

  def shortfall_sec(self) -> float:
    """Duration of audio that the container states but does not contain; 0 if none or unknown."""
    if self._promised_end_sec is None:
      return 0.0
    missing_sec = self._promised_end_sec - self.start_sec - self.num_samples / self._rate_hz
    return missing_sec if missing_sec > media_extent.TRUNCATION_SEC else 0.0

  def _decoded(self) -> Iterator[av.AudioFrame]:
    decoder = decoding.Decoder(self._media.audio)
    for packet in media_streams.demux(self._media):
      try:
        yield from decoder.frames(packet)
      except av.error.FFmpegError:
        self.num_damaged += 1

  def _contiguous(self) -> Iterator[np.ndarray]:
    """Samples without gaps: float32 `[channels, samples]`, or only the channel that is used."""
    rate_hz, layout = self._first.sample_rate, self._first.layout.name
    due = 0
    frame = self._first
    while frame is not None:
      time_sec = media_streams.frame_time_sec(frame)
      if (frame.sample_rate, frame.layout.name) != (rate_hz, layout):
        raise MediaError(
          f"the audio changes from {rate_hz} Hz {layout} to {frame.sample_rate} Hz "
          f"{frame.layout.name} at {time_sec:.2f} s"
        )
      position = round((time_sec - self.start_sec) * rate_hz)
      if abs(position - due) <= _GAP_TOLERANCE_SEC * rate_hz:
        position = due
      samples = self._samples_of(frame)
      while due < position:  # A gap, possibly a long one.
        length = min(position - due, rate_hz)
        yield np.zeros((len(samples), length), np.float32)
        due += length
        self.gap_sec += length / rate_hz
      samples = samples[:, due - position :]  # Where frames overlap, the first one is used.
      if samples.shape[1]:
        yield samples
        due += samples.shape[1]
      frame = next(self._frames, None)

  def _without_padding(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Drops the encoder padding of the last frame, after the stated end."""
    padding_start_sec = media_extent.padding_start_sec(self._media, self._media.audio)
    if padding_start_sec is None:
      yield from blocks
      return
    rate_hz = self._first.sample_rate
    left = round((padding_start_sec - self.start_sec) * rate_hz)
    beyond = []
    for samples in blocks:
      if samples.shape[1] <= left:
        left -= samples.shape[1]
        yield samples
        continue
      if left > 0:
        yield samples[:, :left]
        samples, left = samples[:, left:], 0
      beyond.append(samples)
      # More than padding: the stated end is wrong.
      if sum(block.shape[1] for block in beyond) > media_extent.LONGEST_FRAME_SEC * rate_hz:
        yield from beyond
        yield from blocks

  def _samples_of(self, frame: av.AudioFrame) -> np.ndarray:
    samples = media_sound.to_float(frame)
    if self._channel is not None:
      samples = self._gain * samples[self._channel : self._channel + 1]
    if frame.is_corrupt or not np.isfinite(samples).all():
      self.num_damaged += 1
      return np.zeros_like(samples)
    return samples

  def _mixed_layout(self) -> str:
    layout = self._first.layout
    return media_sound.known_layout(layout.name, len(layout.channels))

  def _resampled(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Mono at the requested rate: float32 `[samples]`."""
    rate_hz = self._first.sample_rate
    one_channel = self._channel is not None or len(self._first.layout.channels) == 1
    if one_channel and rate_hz == self._rate_hz:
      for samples in blocks:
        yield samples[0]
      return
    layout = "mono" if one_channel else self._mixed_layout()
    graph = av.filter.Graph()
    time_base = Fraction(1, rate_hz)
    source = graph.add_abuffer(
      sample_rate=rate_hz, format=media_sound.FLOAT, layout=layout, time_base=time_base
    )
    # Full scale stays full scale, as in the mix of clips.
    options = f"{self._rate_hz}:out_chlayout=mono:osf=fltp:rematrix_maxval=1.0"
    resample = graph.add("aresample", options)
    sink = graph.add("abuffersink")
    source.link_to(resample)
    resample.link_to(sink)
    try:
      graph.configure()
    except (av.error.FFmpegError, ValueError) as error:
      raise MediaError(
        f"audio at {rate_hz} Hz with the channel layout {layout!r} cannot be converted to mono at "
        f"{self._rate_hz} Hz: convert it first"
      ) from error
    position = 0
    for samples in blocks:
      source.push(media_sound.from_float(samples, layout, rate_hz, position))
      position += samples.shape[1]
      yield from _pulled(sink)
    source.push(None)
    yield from _pulled(sink)


def _pulled(sink: av.filter.context.FilterContext) -> Iterator[np.ndarray]:
  while True:
    try:
      yield sink.pull().to_ndarray()[0]
    except (av.error.EOFError, av.error.BlockingIOError):
      return


def _choose(
  path: str, track: av.AudioStream, frame: av.AudioFrame
) -> tuple[Optional[int], np.float32, str]:
  """The channel to use (None mixes all), its gain, and a description for the user."""
  num_channels, layout = len(frame.layout.channels), frame.layout.name
  if num_channels == 1:
    return None, np.float32(1), "its only channel"
  mono = sound_field.mono_of(path, track, num_channels)
  if mono is not None:
    return mono.channel, np.float32(mono.gain), "the W channel of its ambisonics"
  if layout in _AMBISONIC_LAYOUTS:
    made_from = f"the first of its {num_channels} channels, read as the W channel of ambisonics"
    return 0, np.float32(1), made_from
  return None, np.float32(1), f"a mix of its {num_channels} channels"

