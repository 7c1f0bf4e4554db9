"""Runs a command of the package with the network of `tiny_run` at hand for gin files.

Its graphs are traced in a tenth of the time of the package's networks:

  python -m tests.tiny_command avssl_tf.train --gin_file=...
"""

import importlib
import runpy
import sys

if __name__ == "__main__":
  importlib.import_module("avssl_tf.cli")  # Hides notices of TensorFlow, if imported before it.
  importlib.import_module("tests.tiny_run")  # Registers the network.
  del sys.argv[0]
  runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
