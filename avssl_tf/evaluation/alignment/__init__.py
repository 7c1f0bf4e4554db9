"""Evaluation protocols of 360° clips: audio-visual alignment, retrieval and segmentation."""
