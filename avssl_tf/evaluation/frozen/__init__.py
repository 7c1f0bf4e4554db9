"""Frozen features and embeddings: nearest neighbours, linear probes, retrieval, memory banks."""
