"""From records to batches: which clips, which spans of them, and how they are augmented."""
