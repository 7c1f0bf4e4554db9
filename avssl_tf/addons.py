"""The one door to TensorFlow Addons and TensorFlow I/O.

Both belong to TensorFlow 2.15 and are no longer developed. Newer TensorFlow runs without them:
`successors` then provides the same three functions. TensorFlow Addons prints a warning about its
end at import, which this module suppresses.
"""

import importlib.util
import math
import warnings

import tensorflow as tf

from avssl_tf import successors
from avssl_tf.keys import Tensor

HAS_ADDONS = importlib.util.find_spec("tensorflow_addons") is not None
HAS_IO = importlib.util.find_spec("tensorflow_io") is not None

if HAS_ADDONS:
  with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="(?s).*TensorFlow Addons")
    import tensorflow_addons as tfa

  LAMB = tfa.optimizers.LAMB
  adjust_hsv_in_yiq = tfa.image.adjust_hsv_in_yiq
else:
  LAMB = tf.keras.utils.register_keras_serializable("Addons")(successors.LAMB)
  adjust_hsv_in_yiq = successors.adjust_hsv_in_yiq

if HAS_IO:
  import tensorflow_io as tfio

# The filter of TensorFlow I/O has 64 samples at the lower of the two rates.
_RESAMPLER_TAPS = 64


def resample(waveform: Tensor, rate_in_hz: int, rate_out_hz: int) -> Tensor:
  """Converts a waveform to another sample rate, band-limited and without delay.

  Args:
    waveform: float32 `[samples, channels]`.
    rate_in_hz: its rate.
    rate_out_hz: rate of the result.

  Returns:
    float32 `[about samples * rate_out_hz / rate_in_hz, channels]`.
  """
  if not HAS_IO:
    return successors.resample(waveform, rate_in_hz, rate_out_hz)
  # The output is delayed by half the filter, whose length in input samples is rounded up to a
  # multiple of 8.
  taps = 8 * math.ceil(_RESAMPLER_TAPS * max(1.0, rate_in_hz / rate_out_hz) / 8)
  skip = round(taps / 2 * rate_out_hz / rate_in_hz)
  # Enough silence for the delayed end, however the resampler rounds its length.
  tail = taps + math.ceil(2 * rate_in_hz / rate_out_hz)
  padded = tf.pad(waveform, [[0, tail], [0, 0]])
  return tfio.audio.resample(padded, rate_in_hz, rate_out_hz)[skip:]
