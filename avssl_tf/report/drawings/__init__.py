"""Drawings of clips, sound fields and maps, as images."""
