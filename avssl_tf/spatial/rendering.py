"""Stereo and binaural rendering of sound fields: virtual microphones, and a head model."""

import functools

import numpy as np
import scipy.special
import tensorflow as tf

from avssl_tf.keys import Tensor
from avssl_tf.spatial import ambisonics, directions

_SPEED_OF_SOUND_M_PER_SEC = 343.0
_HEAD_RADIUS_M = 0.0875
# Above this frequency a first-order field is too coarse for the phase at the ears, and only
# magnitudes are matched.
_PHASE_LIMIT_HZ = 1500.0


def to_stereo(field: Tensor, azimuth_rad: float = np.pi / 2) -> Tensor:
  """Stereo by two virtual microphones, left and right; cardioids for the first order.

  Args:
    field: `[..., samples, channels]`.
    azimuth_rad: azimuth of the left microphone; the right one is mirrored.

  Returns:
    `[..., samples, 2]`, left and right. A source in the direction of a microphone keeps its level.

  Raises:
    UserError: the number of channels is not 4, 9 or 16.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.spatial import ambisonics, rendering
    >>> field = ambisonics.encode([[1.0]], [np.pi / 2], [0.0])  # A source on the left.
    >>> rendering.to_stereo(field).numpy().round(3).tolist()
    [[1.0, 0.0]]
  """
  both = tf.constant([azimuth_rad, -azimuth_rad], field.dtype)
  gain = ambisonics.order_of(field.shape[-1]) + 1.0
  return ambisonics.decode(field, both, tf.zeros_like(both)) / gain


def to_binaural(field: Tensor, sample_rate_hz: float, num_taps: int = 256) -> Tensor:
  """Binaural rendering for headphones, by `head_filters`.

  Args:
    field: float32 `[..., samples, channels]`.
    sample_rate_hz: sample rate of the field, in Hz.
    num_taps: length of the filters, even.

  Returns:
    float32 `[..., samples, 2]`, left and right, of the same length as the field and without delay.

  Raises:
    UserError: the number of channels is not 4, 9 or 16.
  """
  order = ambisonics.order_of(field.shape[-1])
  filters = head_filters(order, sample_rate_hz, num_taps)
  length = tf.shape(field)[-2]
  # Zero padding by the length of the filters prevents circular convolution.
  size = length + num_taps
  spectra = tf.signal.rfft(tf.linalg.matrix_transpose(field), [size])
  responses = tf.signal.rfft(tf.constant(filters, tf.float32), [size])
  filtered = tf.einsum("...cf,ecf->...ef", spectra, responses)
  ears = tf.linalg.matrix_transpose(tf.signal.irfft(filtered, [size]))
  # Removes the delay of the filters, half their length.
  return ears[..., num_taps // 2 : num_taps // 2 + length, :]


@functools.lru_cache(maxsize=8)
def head_filters(order: int, sample_rate_hz: float, num_taps: int = 256) -> np.ndarray:
  """Filters from the channels of a field to two ears on the sides of a rigid sphere.

  Magnitude least squares (Schörkhuber, Zaunschirm, Höldrich, DAGA 2018) over directions distributed
  on the sphere: below 1.5 kHz it matches the complex signals at the ears, above only magnitudes.

  Args:
    order: 1..3.
    sample_rate_hz: sample rate of the field, in Hz.
    num_taps: length of the filters, even.

  Returns:
    float64 `[2, channels, num_taps]`, left and right, delayed by `num_taps / 2` samples.
  """
  points = ambisonics.spread_directions(256)
  azimuth_rad, elevation_rad = directions.angles(tf.constant(points))
  fit = np.linalg.pinv(ambisonics.harmonics(azimuth_rad, elevation_rad, order).numpy())
  values = np.linalg.pinv(fit)
  frequencies_hz = np.fft.rfftfreq(num_taps, 1.0 / sample_rate_hz)
  # The left ear is at +y.
  responses = sphere_responses(points[:, 1], frequencies_hz)
  fitted = np.zeros([len(frequencies_hz), values.shape[1]], complex)
  for i, frequency_hz in enumerate(frequencies_hz):
    target = responses[:, i]
    if frequency_hz > _PHASE_LIMIT_HZ:
      # Keeps the phase of the previous bin.
      target = np.abs(target) * np.exp(1j * np.angle(values @ fitted[i - 1]))
    fitted[i] = fit @ target
  left = np.roll(np.fft.irfft(fitted, num_taps, axis=0), num_taps // 2, axis=0).T
  left = left * np.hanning(num_taps + 1)[:-1]
  right = ambisonics.mirror(tf.constant(left.T)).numpy().T
  return np.stack([left, right])


def sphere_responses(cosines: np.ndarray, frequencies_hz: np.ndarray) -> np.ndarray:
  """Pressure at a point of a rigid sphere, relative to that of the plane wave at its centre.

  Duda and Martens, "Range dependence of the response of a spherical head model", JASA 1998.

  Args:
    cosines: `[D]`, cosines of the angles between the point and the directions of the sources.
    frequencies_hz: `[F]`, 0 or more.

  Returns:
    complex128 `[D, F]`, for the time convention exp(+i omega t).
  """
  ka = 2.0 * np.pi * np.asarray(frequencies_hz) * _HEAD_RADIUS_M / _SPEED_OF_SOUND_M_PER_SEC
  result = np.ones([len(cosines), len(ka)], complex)
  for column, x in enumerate(ka):
    if x == 0.0:
      continue
    degrees = np.arange(int(np.ceil(x)) + 15)
    outgoing = scipy.special.spherical_jn(degrees, x, True) - 1j * scipy.special.spherical_yn(
      degrees, x, True
    )
    weights = (2 * degrees + 1) * 1j ** (degrees - 1.0) / (outgoing * x * x)
    result[:, column] = scipy.special.eval_legendre(degrees, np.asarray(cosines)[:, None]) @ weights
  return result
