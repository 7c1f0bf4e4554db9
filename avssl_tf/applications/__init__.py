"""What trained networks are good for: files in, files out."""
