"""Support vector machines on the feature maps of audio networks."""
