"""The only import of TensorFlow Addons and TensorFlow I/O.

Both require TensorFlow 2.15 and are no longer developed. Where they are not installed, `successors`
provides the same functions. TensorFlow Addons warns about its end at import; the warning is
suppressed here.
"""

import importlib.util
import warnings

from avssl_tf import successors

if importlib.util.find_spec("tensorflow_addons"):
  with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="(?s).*TensorFlow Addons")
    from tensorflow_addons.image import adjust_hsv_in_yiq
    from tensorflow_addons.optimizers import LAMB
else:
  from avssl_tf.successors import LAMB, adjust_hsv_in_yiq

if importlib.util.find_spec("tensorflow_io"):
  from tensorflow_io import audio as _audio

  resample = _audio.resample
else:
  resample = successors.resample

__all__ = ["LAMB", "adjust_hsv_in_yiq", "resample"]
