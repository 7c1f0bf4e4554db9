#!/usr/bin/env python3
"""Builds a data set of TFRecords; runs `avssl_tf/make_tfrecords.py` as a script.

  python tools/make_tfrecords.py --source=demo
"""

import os
import sys

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import make_tfrecords

if __name__ == "__main__":
  make_tfrecords.main()
