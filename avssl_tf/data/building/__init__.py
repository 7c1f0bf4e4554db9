"""Builds data sets of records: see `build.py`."""
