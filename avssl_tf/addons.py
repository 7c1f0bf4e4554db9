"""The one door to TensorFlow Addons.

TensorFlow Addons 0.23 belongs to TensorFlow 2.15 and is no longer developed: it
says so with a warning at import, which would meet every user of every command.
What this project uses of it passes through here, so that replacing it later is
a change in one file.
"""

import warnings

with warnings.catch_warnings():
  warnings.filterwarnings("ignore", message="(?s).*TensorFlow Addons")
  import tensorflow_addons as tfa

LAMB = tfa.optimizers.LAMB
adjust_hsv_in_yiq = tfa.image.adjust_hsv_in_yiq
