"""Records of clips: their format, writing, reading and checking them."""
