"""The one training loop: strategy, optimisers, schedules, callbacks, run directory."""
