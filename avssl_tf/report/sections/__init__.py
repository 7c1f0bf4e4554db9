"""Parts of a run's report, a module each: `section(run)`, None where it is not relevant."""
