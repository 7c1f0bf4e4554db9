"""What media files state about their frames and channels: views, projections, ambisonics."""
