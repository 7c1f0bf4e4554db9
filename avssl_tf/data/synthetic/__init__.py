"""Seeded procedural worlds with ground truth, rendered to frames and audio."""
