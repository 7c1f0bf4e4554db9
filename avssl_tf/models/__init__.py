"""Encoders, projection heads and in-graph front ends, as Keras layers."""
