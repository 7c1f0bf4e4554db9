"""Data: sources of clips, media decoding, records, synthetic worlds and the input pipeline."""
