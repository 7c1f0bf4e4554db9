"""HTML reports, charts and images."""
