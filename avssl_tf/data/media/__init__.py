"""Media files: opening, decoding and writing them, of any length."""
