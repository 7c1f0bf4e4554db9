"""Common code of the sources: listings of clips, classes and folds, and their files."""
