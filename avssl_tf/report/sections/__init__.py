"""Sections of a report, one module each; `section(run)` returns None if not applicable."""
