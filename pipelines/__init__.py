"""The experiments: programs on top of the library."""

import os

# Before TensorFlow is imported: its start-up messages drown those of the programs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
