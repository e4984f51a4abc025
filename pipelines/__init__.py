"""The experiments: programs on top of the library."""
