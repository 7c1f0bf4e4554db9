"""Support vector machines on the maps of audio networks."""
