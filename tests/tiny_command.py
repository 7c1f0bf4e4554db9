"""Runs a command of the package with the network of `tiny_run` at hand for gin files.

Its graphs are traced in a tenth of the time of the package's networks:

  python -m tests.tiny_command avssl_tf.train --gin_file=...
"""

import runpy
import sys

from avssl_tf import cli  # noqa: F401 It hides notices of TensorFlow, if imported before it.
from tests import tiny_run  # noqa: F401 It registers the network.

if __name__ == "__main__":
  del sys.argv[0]
  runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
