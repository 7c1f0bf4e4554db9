"""Reads the audio of a whole file with PyAV, with or without video.

`clip_reading.read_clip` reads a span synchronised with the video. This module reads every sample,
including silence.
"""

import av
import numpy as np

from avssl_tf import keys
from avssl_tf.data.media import decoding, media_limits, media_sound, media_streams
from avssl_tf.data.media.media_streams import MediaError

_LAYOUTS = {1: "mono", 2: "stereo"}


def read_sound(path: str, sample_rate_hz: int, num_channels: int) -> np.ndarray:
  """Reads the default audio stream of a file, from its first sample to its last.

  Samples are treated as contiguous; the times in the container are ignored.

  Args:
    path: file to read.
    sample_rate_hz: sample rate of the result.
    num_channels: number of channels of the result. 1 or 2 mixes to mono or stereo. Any other number
      must be that of the file, and keeps its channels unmixed.

  Returns:
    float32 `[samples, num_channels]` in -1..1, at least one sample.

  Raises:
    MediaError: the file cannot be read, or its audio does not have `num_channels` channels; the
      message states the reason.

  Examples:
    >>> import os, tempfile
    >>> import numpy as np
    >>> from avssl_tf.data import read_sound
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   path = os.path.join(folder, "stereo.wav")
    ...   wavfile.write(path, 8000, np.zeros([4000, 2], np.float32))
    ...   read_sound(path, sample_rate_hz=16000, num_channels=1).shape
    (8000, 1)
  """

  samples, layout, rate_hz = _decode(path)
  if not np.isfinite(samples).all():
    raise MediaError("damaged: audio samples are not finite numbers")
  if len(samples) != num_channels:
    if num_channels not in _LAYOUTS:
      raise MediaError(f"the audio has {len(samples)} channels, not the requested {num_channels}")
    samples = media_sound.mix(samples, layout, _LAYOUTS[num_channels], rate_hz)
  samples = media_sound.resample(samples, rate_hz, sample_rate_hz)
  if not samples.shape[1]:
    raise MediaError("the audio is shorter than one sample")
  # Decoded lossy audio may overshoot full scale.
  return np.ascontiguousarray(np.clip(samples, -1.0, 1.0).T)


def _decode(path: str) -> tuple[np.ndarray, str, int]:
  """All samples, float32 `[channels, samples]`, with their layout and rate."""
  chunks: list[np.ndarray] = []
  formats = set()
  num_bytes = 0
  with media_streams.open_streams(path, (keys.AUDIO,)) as media:
    decoder = decoding.Decoder(media.audio)
    for packet in media_streams.demux(media):
      try:
        frames = decoder.frames(packet)
      except av.error.FFmpegError as error:
        raise MediaError(f"truncated or damaged: cannot be decoded ({error.strerror})") from error
      for frame in frames:
        media_limits.check_sound(frame.sample_rate, len(frame.layout.channels))
        chunks.append(media_sound.to_float(frame))
        num_bytes += chunks[-1].nbytes
        # Silent audio may be compressed a thousandfold.
        media_limits.check_clip(num_bytes, "audio")
        formats.add((frame.layout.name, frame.sample_rate))
  if not chunks:
    raise MediaError("truncated or damaged: the audio stream contains nothing to decode")
  if len(formats) > 1:
    raise MediaError(f"the audio changes its layout or rate: {sorted(formats)}")
  return (np.concatenate(chunks, axis=1), *formats.pop())
