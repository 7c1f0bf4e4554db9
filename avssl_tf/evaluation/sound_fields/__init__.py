"""Generated sound fields compared with recorded ones."""
