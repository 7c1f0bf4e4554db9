"""Comparisons of methods over seeds: planning and execution of runs, tables and curves."""
