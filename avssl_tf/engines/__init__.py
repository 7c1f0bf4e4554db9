"""Engines: run the tasks of a build or an embedding job in processes, here or on a cluster."""
