"""Sound of a video: placing samples on the time line, converting, mixing, resampling."""

from fractions import Fraction
from typing import Optional

import av
import numpy as np

from avssl_tf.data.media import media_limits, media_streams

# Context on both sides of the span, so that the resampling filter has no edge within it.
_MARGIN_SEC = 0.05
# A decoder that starts in mid-stream is right only after this long (Opus asks for 80 ms, RFC 7845).
WARM_UP_SEC = 0.1
# Containers round the times of packets: up to this difference, successive packets are contiguous.
_GAP_TOLERANCE_SEC = 0.02
# Encoders may leave out short stretches of silence; a longer hole means that data is lost.
_LONGEST_GAP_SEC = 0.5

# Samples of frames that are made here: the channels of each in turn.
FLOAT = "flt"
# Of frames that have a plane for each of more channels, PyAV (15.1 and 18.1) reads beyond the list
# of planes, which ends the process.
_MAX_PLANES = 7

_DEFAULT_LAYOUTS = {
  1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
}  # fmt: skip


def to_float(frame: av.AudioFrame) -> np.ndarray:
  """Samples of a frame of any format as float32 `[channels, samples]` in -1..1.

  Raises:
    MediaError: their format is not known.
  """
  num_channels = len(frame.layout.channels)
  if frame.format.is_planar and num_channels > _MAX_PLANES:
    frame = _packed(frame)
  try:
    samples = frame.to_ndarray()
  except ValueError as error:
    raise media_streams.MediaError(
      f"samples of the format {frame.format.name} cannot be converted: convert the sound to 16 or "
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
  """The frame with the samples of all channels in turn."""
  resampler = av.AudioResampler(format=FLOAT, layout=frame.layout, rate=frame.sample_rate)
  packed = [*resampler.resample(frame), *resampler.resample(None)]
  if len(packed) != 1:
    raise media_streams.MediaError(
      f"sound with the channel layout {frame.layout.name!r} cannot be converted"
    )
  return packed[0]


def from_float(samples: np.ndarray, layout: str, rate_hz: int, position: int) -> av.AudioFrame:
  """A frame of the format `FLOAT`.

  Args:
    samples: `[channels, samples]`.
    layout: of the channels, as FFmpeg calls it.
    rate_hz: their rate.
    position: number of the first sample.
  """
  in_turn = np.ascontiguousarray(samples.T, np.float32).reshape(1, -1)
  frame = av.AudioFrame.from_ndarray(in_turn, format=FLOAT, layout=layout)
  frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), position
  return frame


def _aresample(samples: np.ndarray, layout: str, rate_hz: int, options: str) -> np.ndarray:
  """Runs libswresample over float32 `[channels, samples]`."""
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
  """Resamples float32 `[channels, samples]`, each channel by itself and none mixed."""
  if rate_hz == new_rate_hz:
    return samples
  options = f"{new_rate_hz}:osf=fltp"
  return np.concatenate([_aresample(s[None], "mono", rate_hz, options) for s in samples])


def mix(samples: np.ndarray, layout: str, new_layout: str, rate_hz: int) -> np.ndarray:
  """Mixes float32 `[channels, samples]` to another layout with libswresample's matrix.

  The matrix (ITU-R BS.775) is scaled so that full-scale input cannot exceed
  full scale: stereo becomes the mean of both channels.

  Raises:
    MediaError: libswresample has no matrix for this layout.
  """
  options = f"{rate_hz}:out_chlayout={new_layout}:osf=fltp:rematrix_maxval=1.0"
  try:
    return _aresample(samples, layout, rate_hz, options)
  except (av.error.FFmpegError, ValueError) as error:
    raise media_streams.MediaError(
      f"sound with the channel layout {layout!r} cannot be mixed to {new_layout}: "
      "keep all its channels instead"
    ) from error


def known_layout(layout: str, num_channels: int) -> str:
  """The layout to mix from; where the file names none, the usual one for its channel count."""
  if layout == f"{num_channels} channels":
    return _DEFAULT_LAYOUTS.get(num_channels, layout)
  return layout


class SoundCollector:
  """Gathers the samples of a span of time at their own rate and channels.

  Attributes:
    done: the span is complete.
    late: the first frame decoded comes after the time allowed for it.
    end_sec: end of the last frame seen, None before the first.
    rate_hz, num_channels: of the decoded sound; 0 before the first frame.
  """

  def __init__(self, start_sec: float, end_sec: float, begin_by_sec: Optional[float] = None):
    """Asks for the samples of a span.

    Args:
      start_sec: start of the span, on the container's time line.
      end_sec: its end.
      begin_by_sec: time up to which the first frame may start, None for any.
    """
    self.done = False
    self.late = False
    self.end_sec: Optional[float] = None
    self.rate_hz = 0
    self.num_channels = 0
    self._span = (start_sec, end_sec)
    self._begin_by_sec = begin_by_sec
    self._layout = ""
    self._origin = 0  # Number of the first sample held, counted from time 0.
    self._next = 0  # Where the next frame is due, counted from the origin.
    self._samples = np.zeros((0, 0), np.float32)

  def needs(self, packet: av.Packet) -> bool:
    """Packets of the span, and none that only warm the decoder up."""
    times = media_streams.packet_times_sec(packet, 0.0)
    return times is None or times[1] > self._span[0]

  def add(self, frame: av.AudioFrame) -> None:
    """Puts a frame where it belongs on the time line.

    Short gaps stay silent; of overlapping frames the later one counts.

    Raises:
      MediaError: the sound is damaged, has a long gap, or changes its rate or layout.
    """
    time_sec = media_streams.frame_time_sec(frame)
    if self.end_sec is None:
      self._begin(frame, time_sec)
    elif (frame.sample_rate, frame.layout.name) != (self.rate_hz, self._layout):
      raise media_streams.MediaError(
        f"the sound changes from {self.rate_hz} Hz {self._layout} to {frame.sample_rate} Hz "
        f"{frame.layout.name} at {time_sec:.2f} s"
      )
    position = round(time_sec * self.rate_hz) - self._origin
    if abs(position - self._next) <= _GAP_TOLERANCE_SEC * self.rate_hz:
      position = self._next
    length = self._samples.shape[1]
    gap_sec = (min(position, length) - max(self._next, 0)) / self.rate_hz
    if gap_sec > _LONGEST_GAP_SEC:
      raise media_streams.MediaError(
        f"damaged: no sound for {gap_sec:.2f} s before {time_sec:.2f} s"
      )
    self._next = position + frame.samples
    self.end_sec = (self._origin + self._next) / self.rate_hz
    begin, end = max(position, 0), min(self._next, length)
    if begin < end:
      if frame.is_corrupt:
        raise media_streams.MediaError(f"damaged: the sound at {time_sec:.2f} s is corrupt")
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
    media_limits.check_clip(4 * self.num_channels * (end - self._origin), "sound")
    self._samples = np.zeros((self.num_channels, end - self._origin), np.float32)
    self._next = round(time_sec * self.rate_hz) - self._origin

  def waveform(
    self, num_samples: int, sample_rate_hz: int, num_channels: Optional[int]
  ) -> np.ndarray:
    """The span as float32 `[num_samples, channels]` in -1..1.

    Args:
      num_samples: samples from the start of the span.
      sample_rate_hz: rate of the result.
      num_channels: 1 or 2 mixes down or up; the number that the file has, or
        None, keeps its channels as they are and in their order.

    Raises:
      MediaError: that number of channels cannot be made, or the samples are not finite.
    """
    samples = self._samples
    if not np.isfinite(samples).all():
      raise media_streams.MediaError("damaged: samples of the sound are not finite numbers")
    if num_channels not in (None, self.num_channels):
      if num_channels not in (1, 2):
        raise media_streams.MediaError(
          f"the sound has {self.num_channels} channels, not the {num_channels} asked for"
        )
      layout = known_layout(self._layout, self.num_channels)
      samples = mix(samples, layout, _DEFAULT_LAYOUTS[num_channels], self.rate_hz)
    samples = resample(samples, self.rate_hz, sample_rate_hz)
    offset_sec = self._span[0] - self._origin / self.rate_hz
    offset = round(offset_sec * sample_rate_hz)
    # Decoded lossy sound may overshoot full scale.
    return np.ascontiguousarray(np.clip(samples[:, offset : offset + num_samples], -1.0, 1.0).T)
