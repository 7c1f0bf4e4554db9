"""Gin configurations: names that they may use, parsing and checking, comparing settings."""
