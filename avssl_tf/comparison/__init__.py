"""Comparisons of methods over seeds: planning the runs, doing them, tables and curves."""
