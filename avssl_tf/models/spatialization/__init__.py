"""Networks that generate sound fields from mono sound and 360° frames."""
