"""What sources make of lists and folders: clips to build, classes and folds, and their files."""
