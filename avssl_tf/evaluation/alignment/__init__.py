"""Protocols of 360° clips: whether views and sounds belong together, and what views show."""
