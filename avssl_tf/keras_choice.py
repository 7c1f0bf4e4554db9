"""Selects Keras 2 as `tf.keras`, without an import of TensorFlow."""

import importlib.metadata
import importlib.util
import os
import sys

_SWITCH = "TF_USE_LEGACY_KERAS"


def choose_keras_2() -> None:
  """Selects Keras 2; raises an ImportError if `tf.keras` is Keras 3.

  From TensorFlow 2.16 on, `tf.keras` is Keras 3 unless an environment variable selects Keras 2, the
  package tf-keras, before the first use of `tf.keras`. TensorFlow 2.15 has Keras 2 and needs no
  tf-keras.
  """
  if importlib.util.find_spec("tf_keras") is not None:
    os.environ.setdefault(_SWITCH, "1")
  version = _version()
  if version.startswith("3."):
    raise ImportError(
      f"tf.keras is Keras {version}; avssl_tf requires Keras 2. Install tf-keras in the version of "
      "TensorFlow (pip install tf-keras), and import avssl_tf before the first use of tf.keras or "
      f"set the environment variable {_SWITCH}=1."
    )


def _version() -> str:
  """Version of `tf.keras`; "" if it is one of tf-keras, which does not state it there."""
  if "tensorflow" in sys.modules:
    return getattr(sys.modules["tensorflow"].keras, "__version__", "")
  if os.environ.get(_SWITCH) in ("1", "true", "True"):
    return ""
  try:
    return importlib.metadata.version("keras")
  except importlib.metadata.PackageNotFoundError:
    return ""
