"""Embeddings of the files of a folder, and search in them."""
