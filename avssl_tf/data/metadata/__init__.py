"""Metadata of media files about frames and channels: views, projections, ambisonics."""
