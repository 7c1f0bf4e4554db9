"""Evaluation of generated sound fields against recorded ones."""
