"""Input pipeline: sampling, decoding, augmentation and batching of clips."""
