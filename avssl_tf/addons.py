"""The only import of TensorFlow Addons.

TensorFlow Addons 0.23 requires TensorFlow 2.15 and is no longer developed. Its warning about this
at import is suppressed. A later replacement changes only this file.
"""

import warnings

with warnings.catch_warnings():
  warnings.filterwarnings("ignore", message="(?s).*TensorFlow Addons")
  import tensorflow_addons as tfa

LAMB = tfa.optimizers.LAMB
adjust_hsv_in_yiq = tfa.image.adjust_hsv_in_yiq
