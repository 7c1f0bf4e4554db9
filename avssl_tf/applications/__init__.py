"""Applications of trained networks: from media files to output files."""
