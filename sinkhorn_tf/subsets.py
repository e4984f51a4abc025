"""Linear assignment of few items by dynamic programming over sets of positions.

Bellman 1962, Held & Karp 1962: the best value of the first k rows on a set of k
columns comes from the best of the first k - 1 rows on that set less one. The first
and the last half of the rows are done apart and joined. The number of ops is fixed and
small, whatever the numbers are; a search costs more ops for each of its steps than all
of this, and goes on as long as the hardest example of the batch needs.
"""

import functools
import itertools
import math

import numpy as np
import tensorflow as tf

# The most rows: 2,304 additions for an example, twice as many for one more.
MOST = 9


def assign_few(x):
    """Matches rows to columns so that the sum is largest.

    Args:
        x: float64 `[B, N, N]`, N static, from 2 to `MOST`, no NaN or +inf, sums of N
            finite; `-inf` forbids a pair.

    Returns:
        int32 `[B, N]`, -1 throughout where there is no permutation.
    """
    n = x.shape[-1]
    half = n // 2
    # The batch last, where sums and maxima over the sets vectorise.
    rows = tf.unstack(tf.transpose(x, [1, 2, 0]))
    # Sets and their complements come in opposite orders.
    total = _best_values(rows[:half], n) + _best_values(rows[half:], n)[::-1]
    chosen = tf.argmax(total, axis=0, output_type=tf.int32)
    feasible = tf.reduce_max(total, axis=0) > -math.inf
    perm = tf.concat(
        [
            _on_columns(x[:, :half], tf.gather(_sets(n, half), chosen)),
            _on_columns(x[:, half:], tf.gather(_sets(n, n - half)[::-1], chosen)),
        ],
        axis=1,
    )
    return tf.where(feasible[:, None], perm, -1)


def _best_values(rows, n):
    """The best value of some rows on each set of as many columns.

    Args:
        rows: List of float64 `[N, B]`, not empty.
        n: Python int N.

    Returns:
        float64 `[sets, B]`.
    """
    values = rows[0]
    for k, row in enumerate(rows[1:], 2):
        # Every set of k - 1 columns with every column, also one that is in it.
        extended = tf.reshape(values[:, None] + row, [-1, tf.shape(row)[1]])
        values = tf.reduce_max(tf.gather(extended, _steps(n, k).T), axis=0)
    return values


def _on_columns(x, columns):
    """The best way to put rows `[B, k, N]` on sets of columns `[B, k]`, int32 `[B, k]`.

    Tries all k! of them.
    """
    k = x.shape[1]
    if k < 2:
        return columns
    orders = np.array(list(itertools.permutations(range(k))), np.int32)
    scores = tf.reshape(tf.gather(x, columns, axis=2, batch_dims=1), [-1, k * k])
    terms = tf.gather(tf.transpose(scores), (orders + k * np.arange(k)).T)
    best = tf.argmax(tf.reduce_sum(terms, axis=0), axis=0, output_type=tf.int32)
    return tf.gather(columns, tf.gather(orders, best), batch_dims=1)


@functools.cache
def _sets(n, k):
    """The sets of k of n columns in lexicographic order, int32 `[sets, k]`."""
    return np.array(list(itertools.combinations(range(n), k)), np.int32)


@functools.cache
def _steps(n, k):
    """How a set of k of n columns comes of one of k - 1 and a column.

    Returns:
        int32 `[sets, k]`, the index of the smaller set times n plus the column. Sets
        are in lexicographic order.
    """
    smaller = {s: i for i, s in enumerate(itertools.combinations(range(n), k - 1))}
    return np.array(
        [
            [smaller[s[:j] + s[j + 1 :]] * n + s[j] for j in range(k)]
            for s in itertools.combinations(range(n), k)
        ],
        np.int32,
    )
