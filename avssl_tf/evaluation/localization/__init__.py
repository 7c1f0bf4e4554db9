"""Sound source localisation."""
