"""Trainings of any experiment: settings, loop, run directory, results."""
