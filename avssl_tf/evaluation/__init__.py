"""Protocols that measure frozen representations: kNN, linear probe, retrieval."""
