"""Pictures and reports for people to look at."""
