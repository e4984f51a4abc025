"""How fast and how right the operators are, beside every peer that is installed.

`__main__` holds the flags and the order of things; `cases` what is measured, with its
inputs and float64 references; `workers` the parent's side of the processes (one per
peer, timed in turn) and `worker` their own; `peers` the ways to compute; `trained` the
logits of a trained network; `table` and `figure` the results.
"""
