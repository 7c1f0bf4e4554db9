"""Embedding the files of a folder, and searching the embeddings."""
