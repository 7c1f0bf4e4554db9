"""Log spectrograms of waveforms, in graph.

`log_power` is the audio input of AVID-CMA (Morgado, Vasconcelos, Misra, "Audio-Visual Instance
Discrimination with Cross-Modal Agreement", CVPR 2021): a power spectrogram in which the bins above
the first are averaged in groups. `log_mel` is the audio input of AVSA (Morgado, Li, Vasconcelos,
"Learning Representations from Audio-Visual Spatial Alignment", NeurIPS 2020): a mel spectrogram
with Slaney's scale and normalisation.
"""

import dataclasses
from typing import Optional

import gin
import librosa
import numpy as np
import tensorflow as tf

from avssl_tf.errors import UserError

KINDS = ("log_power", "log_mel")

# Floor of the power: -100 dB.
_MIN_POWER = 1e-10


@gin.register
@dataclasses.dataclass(frozen=True)
class Spectrogram:
  """Settings of a log spectrogram, and the callable that computes it.

  The defaults are those of AVID: 257 bins at 100 frames per second of audio at 24 kHz. Levels are
  in dB re 1. A waveform in -1..1 has levels of about -100..50 dB. A change of volume shifts the
  whole spectrogram by a constant, down to the floor.

  Attributes:
    kind: `"log_power"` (bin 0 is kept, the others are averaged in groups of equal size) or
      `"log_mel"`.
    sample_rate_hz: sample rate of the waveforms, in Hz. `"log_power"` does not depend on it.
    fft_length: length of the Hann window and of the transform, in samples, even.
    hop_length: hop length in samples.
    num_bins: for `"log_power"`, 1 + a divisor of `fft_length / 2`; for `"log_mel"`, the number of
      bands.
    power: exponent of the magnitude before bins are averaged: 2 for power, 1 for magnitude.
    top_db: dynamic range in dB. Values more than `top_db` below the maximum of a clip, over all its
      channels, are raised to that level.

  Source:
    `"log_power"`: Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with
    Cross-Modal Agreement", CVPR 2021. `"log_mel"`: Morgado, Li, Vasconcelos, "Learning
    Representations from Audio-Visual Spatial Alignment", NeurIPS 2020.

  Examples:
    >>> import tensorflow as tf
    >>> import avssl_tf
    >>> spectrogram = avssl_tf.Spectrogram()
    >>> spectrogram(tf.zeros([1, 48000, 1])).shape  # 2 s.
    TensorShape([1, 200, 257, 1])
    >>> spectrogram.num_frames(48000), spectrogram.num_samples(200)
    (200, 48000)
  """

  kind: str = "log_power"
  sample_rate_hz: int = 24000
  fft_length: int = 1024
  hop_length: int = 240
  num_bins: int = 257
  power: float = 2.0
  top_db: float = 100.0

  def __post_init__(self):
    if self.kind not in KINDS:
      raise UserError(f"Spectrogram.kind is {self.kind!r}; expected one of {KINDS}.")
    for name in ("sample_rate_hz", "fft_length", "hop_length", "num_bins", "power", "top_db"):
      if getattr(self, name) <= 0:
        raise UserError(f"Spectrogram.{name} is {getattr(self, name)}; expected more than 0.")
    if self.fft_length % 2:
      raise UserError(f"Spectrogram.fft_length is {self.fft_length}; expected an even number.")
    half = self.fft_length // 2
    if self.kind == "log_power" and (self.num_bins < 2 or half % (self.num_bins - 1)):
      raise UserError(
        f"Spectrogram.num_bins is {self.num_bins}; expected 1 + a divisor of fft_length / 2 = "
        f"{half}, for example {half + 1} or {half // 2 + 1}."
      )

  @property
  def id(self) -> str:
    """Text of all fields: the key of the statistics of the spectrogram in `dataset_info.json`."""
    fields = dataclasses.asdict(self)
    # 2 and 2.0 are the same setting, and gin files contain both.
    return ",".join(f"{k}={v:g}" if not isinstance(v, str) else v for k, v in fields.items())

  def num_frames(self, num_samples: int) -> int:
    """Number of frames of a waveform; the incomplete last hop is dropped.

    Args:
      num_samples: length of the waveform, in samples.

    Returns:
      The number of frames.
    """
    return num_samples // self.hop_length

  def num_samples(self, num_frames: int) -> int:
    """Smallest number of samples of a waveform with a given number of frames.

    Args:
      num_frames: number of frames.

    Returns:
      The number of samples.
    """
    return num_frames * self.hop_length

  @tf.autograph.experimental.do_not_convert  # Nothing to convert, and librosa takes seconds.
  def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
    """Computes the spectrogram of a batch of waveforms.

    Args:
      waveform: float `[B, samples, channels]`, in -1..1, with at least `hop_length` samples.

    Returns:
      float32 `[B, num_frames(samples), num_bins, channels]`, in dB, before normalisation.

    Raises:
      UserError: the static shape of the waveform is different, or the waveform is too short.
    """
    stft = self._stft(self._checked(waveform))
    return tf.transpose(self._level(self._binned_power(stft), stft), [0, 2, 3, 1])

  @tf.autograph.experimental.do_not_convert
  def with_intensity(self, waveform: tf.Tensor) -> tf.Tensor:
    """Computes the spectrogram and the intensity vectors of a first-order sound field.

    The intensity vector of a bin is the active intensity Re(conj(W) Y), Re(conj(W) Z),
    Re(conj(W) X), divided by the energy; both are summed over the frequencies of the bin. It is a
    unit vector for a single source and close to 0 for a diffuse field. Unlike magnitudes, its signs
    distinguish front from back and left from right.

    Args:
      waveform: float `[B, samples, channels]`; the first four channels are W Y Z X (ACN, SN3D).

    Returns:
      float32 `[B, num_frames(samples), num_bins, channels + 3]`: levels in dB as in `__call__`, and
      intensity vectors (y, z, x) in -1..1, which are 0 in silence.

    Raises:
      UserError: there are fewer than four channels, or as in `__call__`.
    """
    real, imaginary = stft = self._stft(self._checked(waveform))
    if real.shape[1] is not None and real.shape[1] < 4:
      raise UserError(
        f"The waveform has {real.shape[1]} channel(s); intensity vectors require the four channels "
        "of first-order ambisonics, W Y Z X."
      )
    power = self._binned_power(stft)
    flow = real[:, :1] * real[:, 1:4] + imaginary[:, :1] * imaginary[:, 1:4]
    energy = (power[:, :1] + tf.reduce_sum(power[:, 1:4], axis=1, keepdims=True)) / 2
    direction = tf.math.divide_no_nan(self._to_bins(flow), energy)
    return tf.transpose(tf.concat([self._level(power, stft), direction], axis=1), [0, 2, 3, 1])

  def _binned_power(self, stft: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Real and imaginary `[B, C, frames, fft_length / 2 + 1]` -> `[B, C, frames, num_bins]`."""
    return self._to_bins(_squared_magnitude(*stft))

  def _level(self, power: tf.Tensor, stft: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """dB, `[B, C, frames, num_bins]`."""
    if self.power != 2:
      power = self._to_bins(tf.math.pow(_squared_magnitude(*stft), self.power / 2))
    return _to_db(power, self.top_db)

  def _checked(self, waveform: tf.Tensor) -> tf.Tensor:
    waveform = tf.cast(tf.convert_to_tensor(waveform), tf.float32)
    if waveform.shape.rank != 3:
      raise UserError(f"The shape of the waveform is {waveform.shape}; expected [B, samples, C].")
    num_samples: Optional[int] = waveform.shape[1]
    if num_samples is not None and num_samples < self.hop_length:
      raise UserError(
        f"The waveform has {num_samples} samples; expected at least hop_length = {self.hop_length}."
      )
    return waveform

  def _stft(self, waveform: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`[B, samples, C]` -> real and imaginary part, `[B, C, frames, fft_length / 2 + 1]`.

    Frame t is centred on sample t * hop_length; the signal is zero-padded.
    """
    length, hop = self.fft_length, self.hop_length
    num_frames = self.num_frames(tf.shape(waveform)[1])
    blocks_per_frame = -(-length // hop)
    num_samples = (num_frames + blocks_per_frame - 1) * hop
    # A frame extends over the hops that it overlaps; samples beyond them are cut off.
    padding = [[0, 0], [0, 0], [length // 2, blocks_per_frame * hop]]
    padded = tf.pad(tf.transpose(waveform, [0, 2, 1]), padding)[..., :num_samples]
    shape = tf.concat([tf.shape(padded)[:2], [-1, hop]], axis=0)
    blocks = tf.reshape(padded, shape)
    # Copies whole hops. `tf.signal.frame` copies blocks of the greatest common divisor of hop and
    # length, which is several times slower if the divisor is small.
    frames = tf.concat(
      [
        blocks[:, :, i : i + num_frames, : length - i * hop]
        for i in range(blocks_per_frame)
      ],
      axis=-1,
    )
    stft = tf.signal.rfft(frames * tf.signal.hann_window(length), [length])
    if waveform.shape[1] is not None:
      stft.set_shape(
        [None, waveform.shape[2], self.num_frames(waveform.shape[1]), length // 2 + 1]
      )
    return tf.math.real(stft), tf.math.imag(stft)

  def _to_bins(self, spectrum: tf.Tensor) -> tf.Tensor:
    """`[..., fft_length / 2 + 1]` -> `[..., num_bins]`."""
    if self.kind == "log_mel":
      return tf.tensordot(spectrum, tf.constant(self.mel_matrix()), axes=1)
    group = (self.fft_length // 2) // (self.num_bins - 1)
    if group == 1:
      return spectrum
    shape = tf.concat([tf.shape(spectrum)[:-1], [self.num_bins - 1, group]], axis=0)
    grouped = tf.reduce_mean(tf.reshape(spectrum[..., 1:], shape), axis=-1)
    grouped = tf.ensure_shape(grouped, spectrum.shape[:-1] + [self.num_bins - 1])
    return tf.concat([spectrum[..., :1], grouped], axis=-1)

  def mel_matrix(self) -> np.ndarray:
    """Mel filter bank with Slaney's scale and area normalisation.

    Returns:
      float32 `[fft_length / 2 + 1, num_bins]`.
    """
    return librosa.filters.mel(
      sr=self.sample_rate_hz, n_fft=self.fft_length, n_mels=self.num_bins, dtype=np.float32
    ).T


def _squared_magnitude(real: tf.Tensor, imaginary: tf.Tensor) -> tf.Tensor:
  return tf.math.square(real) + tf.math.square(imaginary)


def _to_db(power: tf.Tensor, top_db: float) -> tf.Tensor:
  """Level of `power` `[B, ...]` in dB re 1, limited to `top_db` below the maximum of each clip."""
  level = tf.math.log(tf.maximum(power, _MIN_POWER)) * np.float32(10 / np.log(10))
  peak = tf.reduce_max(level, axis=list(range(1, level.shape.rank)), keepdims=True)
  return tf.maximum(level, peak - top_db)
