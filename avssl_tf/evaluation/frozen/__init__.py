"""Evaluation of frozen features: nearest neighbours, linear probes, retrieval, memory banks."""
