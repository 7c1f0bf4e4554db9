"""Gin configurations: registration, parsing, checks and comparison."""
