"""Drawings of clips, sound fields and heat maps."""
