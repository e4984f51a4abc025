"""Sets of columns, numbered: the states of dynamic programs over rows and columns."""

import functools
import itertools

import numpy as np


@functools.cache
def extensions(n, k):
    """How each set of k of n columns, in lexicographic order, extends smaller sets.

    Returns:
        `(smaller, column)`: int32 `[k, sets]`, the number of the set without each of its
        columns, and that column.
    """
    number = {s: i for i, s in enumerate(itertools.combinations(range(n), k - 1))}
    sets = list(itertools.combinations(range(n), k))
    smaller = [[number[s[:j] + s[j + 1 :]] for s in sets] for j in range(k)]
    return np.array(smaller, np.int32), np.array(sets, np.int32).T
