"""The experiments: programs on top of the library."""

from pipelines import startup

# Before TensorFlow is imported: its start-up messages drown those of the programs.
startup.quieten()
