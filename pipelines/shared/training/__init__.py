"""The training of any experiment: settings, loop, run directory, results."""
