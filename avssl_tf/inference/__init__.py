"""Trained networks, loaded and called: encoders, generators, features of data sets, SavedModels."""
