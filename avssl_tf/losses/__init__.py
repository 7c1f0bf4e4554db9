"""Losses: the mathematics as pure functions, what they remember in small classes."""
