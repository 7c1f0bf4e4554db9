"""The training loop: strategies, optimisers, schedules, callbacks, run folders."""
