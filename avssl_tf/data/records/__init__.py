"""Records of clips: format, writing, reading and checks."""
