"""Networks that generate sound fields from mono audio and 360° frames."""
