"""Audio of a video: placing samples on the time line, converting, mixing, resampling."""

from fractions import Fraction
from typing import Optional

import av
import numpy as np

from avssl_tf.data.media import media_limits, media_streams

# Context on both sides of the span: keeps the edges of the resampling filter outside it.
_MARGIN_SEC = 0.05
# A decoder that starts in mid-stream needs this long to converge (Opus: 80 ms, RFC 7845).
WARM_UP_SEC = 0.1
# Containers round the times of packets: up to this difference, successive packets are contiguous.
_GAP_TOLERANCE_SEC = 0.02
# Encoders may omit short stretches of silence; a longer gap means lost data.
_LONGEST_GAP_SEC = 0.5

# Sample format of frames created here: interleaved float32.
FLOAT = "flt"
# In planar frames with more channels, PyAV (15.1 and 18.1) reads past the list of planes, which
# crashes the process.
_MAX_PLANES = 7

_DEFAULT_LAYOUTS = {
  1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
}  # fmt: skip


def to_float(frame: av.AudioFrame) -> np.ndarray:
  """Samples of a frame in any format as float32 `[channels, samples]` in -1..1.

  Raises:
    MediaError: the sample format is not supported.
  """
  num_channels = len(frame.layout.channels)
  if frame.format.is_planar and num_channels > _MAX_PLANES:
    frame = _packed(frame)
  try:
    samples = frame.to_ndarray()
  except ValueError as error:
    raise media_streams.MediaError(
      f"samples in the format {frame.format.name} cannot be converted: convert the audio to 16 or "
      "32 bits first"
    ) from error
  if not frame.format.is_planar:
    samples = samples.reshape(-1, num_channels).T
  if samples.dtype == np.uint8:
    return (samples.astype(np.float32) - 128.0) / 128.0
  if np.issubdtype(samples.dtype, np.integer):
    return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
  return samples.astype(np.float32)


def _packed(frame: av.AudioFrame) -> av.AudioFrame:
  """The frame with interleaved channels."""
  resampler = av.AudioResampler(format=FLOAT, layout=frame.layout, rate=frame.sample_rate)
  packed = [*resampler.resample(frame), *resampler.resample(None)]
  if len(packed) != 1:
    raise media_streams.MediaError(
      f"audio with the channel layout {frame.layout.name!r} cannot be converted"
    )
  return packed[0]


def from_float(samples: np.ndarray, layout: str, rate_hz: int, position: int) -> av.AudioFrame:
  """Creates a frame in the format `FLOAT`.

  Args:
    samples: `[channels, samples]`.
    layout: FFmpeg's name of the channel layout.
    rate_hz: sample rate.
    position: index of the first sample.
  """
  in_turn = np.ascontiguousarray(samples.T, np.float32).reshape(1, -1)
  frame = av.AudioFrame.from_ndarray(in_turn, format=FLOAT, layout=layout)
  frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), position
  return frame


def _aresample(samples: np.ndarray, layout: str, rate_hz: int, options: str) -> np.ndarray:
  """Applies libswresample to float32 `[channels, samples]`."""
  graph = av.filter.Graph()
  time_base = Fraction(1, rate_hz)
  source = graph.add_abuffer(sample_rate=rate_hz, format=FLOAT, layout=layout, time_base=time_base)
  resample = graph.add("aresample", options)
  sink = graph.add("abuffersink")
  source.link_to(resample)
  resample.link_to(sink)
  graph.configure()
  source.push(from_float(samples, layout, rate_hz, 0))
  source.push(None)
  chunks: list[np.ndarray] = []
  while True:
    try:
      chunks.append(sink.pull().to_ndarray())
    except (av.error.EOFError, av.error.BlockingIOError):
      return np.concatenate(chunks, axis=1)


def resample(samples: np.ndarray, rate_hz: int, new_rate_hz: int) -> np.ndarray:
  """Resamples float32 `[channels, samples]`, each channel separately."""
  if rate_hz == new_rate_hz:
    return samples
  options = f"{new_rate_hz}:osf=fltp"
  return np.concatenate([_aresample(s[None], "mono", rate_hz, options) for s in samples])


def mix(samples: np.ndarray, layout: str, new_layout: str, rate_hz: int) -> np.ndarray:
  """Mixes float32 `[channels, samples]` to another layout with libswresample's matrix.

  The matrix (ITU-R BS.775) is scaled to keep full-scale input within full scale: stereo becomes the
  mean of both channels.

  Raises:
    MediaError: libswresample has no matrix for this layout.
  """
  options = f"{rate_hz}:out_chlayout={new_layout}:osf=fltp:rematrix_maxval=1.0"
  try:
    return _aresample(samples, layout, rate_hz, options)
  except (av.error.FFmpegError, ValueError) as error:
    raise media_streams.MediaError(
      f"audio with the channel layout {layout!r} cannot be mixed to {new_layout}: "
      "keep all its channels instead"
    ) from error


def known_layout(layout: str, num_channels: int) -> str:
  """The layout to mix from; if the file states none, the usual one for its number of channels."""
  if layout == f"{num_channels} channels":
    return _DEFAULT_LAYOUTS.get(num_channels, layout)
  return layout


class SoundCollector:
  """Collects the samples of a span of time at their stored rate and channels.

  Attributes:
    done: whether the span is complete.
    late: whether the first decoded frame starts too late.
    end_sec: end of the last frame added; None before the first.
    rate_hz, num_channels: of the decoded audio; 0 before the first frame.
  """

  def __init__(self, start_sec: float, end_sec: float, begin_by_sec: Optional[float] = None):
    """Requests the samples of a span.

    Args:
      start_sec: start of the span, in container time.
      end_sec: end of the span, in container time.
      begin_by_sec: latest allowed start of the first frame; None allows any.
    """
    self.done = False
    self.late = False
    self.end_sec: Optional[float] = None
    self.rate_hz = 0
    self.num_channels = 0
    self._span = (start_sec, end_sec)
    self._begin_by_sec = begin_by_sec
    self._layout = ""
    self._origin = 0  # Index of the first stored sample, counted from time 0.
    self._next = 0  # Expected position of the next frame, counted from the origin.
    self._samples = np.zeros((0, 0), np.float32)

  def needs(self, packet: av.Packet) -> bool:
    """True for packets of the span, false for those that only warm up the decoder."""
    times = media_streams.packet_times_sec(packet, 0.0)
    return times is None or times[1] > self._span[0]

  def add(self, frame: av.AudioFrame) -> None:
    """Places a frame on the time line.

    Short gaps stay silent. Where frames overlap, the later one is used.

    Raises:
      MediaError: the audio is damaged, has a long gap, or changes its rate or layout.
    """
    time_sec = media_streams.frame_time_sec(frame)
    if self.end_sec is None:
      self._begin(frame, time_sec)
    elif (frame.sample_rate, frame.layout.name) != (self.rate_hz, self._layout):
      raise media_streams.MediaError(
        f"the audio changes from {self.rate_hz} Hz {self._layout} to {frame.sample_rate} Hz "
        f"{frame.layout.name} at {time_sec:.2f} s"
      )
    position = round(time_sec * self.rate_hz) - self._origin
    if abs(position - self._next) <= _GAP_TOLERANCE_SEC * self.rate_hz:
      position = self._next
    length = self._samples.shape[1]
    gap_sec = (min(position, length) - max(self._next, 0)) / self.rate_hz
    if gap_sec > _LONGEST_GAP_SEC:
      raise media_streams.MediaError(
        f"damaged: no audio for {gap_sec:.2f} s before {time_sec:.2f} s"
      )
    self._next = position + frame.samples
    self.end_sec = (self._origin + self._next) / self.rate_hz
    begin, end = max(position, 0), min(self._next, length)
    if begin < end:
      if frame.is_corrupt:
        raise media_streams.MediaError(f"damaged: the audio at {time_sec:.2f} s is corrupt")
      self._samples[:, begin:end] = to_float(frame)[:, begin - position : end - position]
    self.done = self._next >= length

  def _begin(self, frame: av.AudioFrame, time_sec: float) -> None:
    self.late = self._begin_by_sec is not None and time_sec > self._begin_by_sec
    self.rate_hz = frame.sample_rate
    self.num_channels = len(frame.layout.channels)
    media_limits.check_sound(self.rate_hz, self.num_channels)
    self._layout = frame.layout.name
    self._origin = round((self._span[0] - _MARGIN_SEC) * self.rate_hz)
    end = round((self._span[1] + _MARGIN_SEC) * self.rate_hz)
    media_limits.check_clip(4 * self.num_channels * (end - self._origin), "audio")
    self._samples = np.zeros((self.num_channels, end - self._origin), np.float32)
    self._next = round(time_sec * self.rate_hz) - self._origin

  def waveform(
    self, num_samples: int, sample_rate_hz: int, num_channels: Optional[int]
  ) -> np.ndarray:
    """The span as float32 `[num_samples, channels]` in -1..1.

    Args:
      num_samples: number of samples, from the start of the span.
      sample_rate_hz: sample rate of the result.
      num_channels: 1 or 2 mixes down or up. None, or the number of channels of the file, keeps the
        channels unmixed and in their order.

    Raises:
      MediaError: the audio cannot be mixed to `num_channels`, or the samples are not finite.
    """
    samples = self._samples
    if not np.isfinite(samples).all():
      raise media_streams.MediaError("damaged: audio samples are not finite numbers")
    if num_channels not in (None, self.num_channels):
      if num_channels not in (1, 2):
        raise media_streams.MediaError(
          f"the audio has {self.num_channels} channels, not the requested {num_channels}"
        )
      layout = known_layout(self._layout, self.num_channels)
      samples = mix(samples, layout, _DEFAULT_LAYOUTS[num_channels], self.rate_hz)
    samples = resample(samples, self.rate_hz, sample_rate_hz)
    offset_sec = self._span[0] - self._origin / self.rate_hz
    offset = round(offset_sec * sample_rate_hz)
    # Decoded lossy audio may overshoot full scale.
    return np.ascontiguousarray(np.clip(samples[:, offset : offset + num_samples], -1.0, 1.0).T)
