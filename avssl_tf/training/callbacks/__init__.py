"""Callbacks of Keras `fit`: loss log, checkpoints, probes, progress."""
