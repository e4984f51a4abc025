"""Linear assignment of few items without a search.

If the column maxima already form a permutation, it is the answer: so it is for most
scores of a trained network. The rest is solved by dynamic programming over sets of
columns (Bellman 1962, Held & Karp 1962): the best value of the first k rows on a set of
k columns comes from the best of the first k - 1 rows on that set less one column. The
rows are halved, both halves are solved at once, and joined. The number of ops is fixed
and small; a few steps of a search cost more than all of this, and a search goes on as
long as the hardest example of the batch needs.

Where there are fewer rows than columns, or some do not exist, rows of score 0 take the
columns that are left.
"""

import functools
import itertools
import math

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import batching, subsets
from sinkhorn_tf._core.compilation import is_for_xla
from sinkhorn_tf._matching import interior_duals
from sinkhorn_tf._matching.rectangular import invert

# The largest number of columns: 1,100 additions for an example, twice as many for one more.
MAX_N = 9
# The limit under XLA on a CPU: its gathers are scalar there, and a search step is cheap.
MAX_N_COMPILED = 6
# Number of undecided examples that are solved at a time, or a quarter of the batch if
# that is more: so a few cost little, and there are at most four rounds on any device.
CHUNK = 16


def is_few(x):
    """Whether M is known and small enough for `assign_few` to be the faster way."""
    n = x.shape[-1]
    return n is not None and 2 <= n <= (MAX_N_COMPILED if is_for_xla() else MAX_N)


def assign_few(x, ignored, duals=True, existing=None):
    """Matches rows to columns so that the sum is largest.

    Args:
        x: float64 `[B, N, M]`, N <= M, M static, from 2 to `MAX_N`, sums of M finite;
            `-inf` forbids a pair.
        ignored: bool `[B]`, examples that may hold anything and get any answer.
        duals: Whether to return duals.
        existing: The `Existing`; None for whole squares.

    Returns:
        `(perm, g)`: int32 `[B, N]`, -1 for a row that does not exist, and throughout
        where the rows cannot all be placed; column duals `[B, M]`, finite, in the
        interior of the optimal face: each row of `x - g` has its maximum at the matched
        column, up to rounding, and nowhere else where the matching is unique. With more
        columns than rows they are >= 0, and 0 for the columns of no row. None without
        `duals`.
    """
    perm, g, decided = _by_maxima(x, existing)
    decided |= ignored

    if existing is None:
        decide, inputs = _decide, (x,)
    else:
        decide, inputs = _decide_existing, (x, existing.rows, existing.more_cols)
    results = (perm, g) if duals else (perm,)
    size = tf.maximum(CHUNK, (tf.shape(x)[0] + 3) // 4)
    decide = functools.partial(decide, duals=duals)
    results = batching.update_in_chunks(decide, inputs, results, ~decided, size)
    return results if duals else (*results, None)


def _by_maxima(x, existing):
    """The matching of every row to the column whose maximum it alone holds.

    With more columns than rows: of every row to its own maximum, if that is the only one.

    Returns:
        `(perm, g, decided)`: `[B, N]`, `[B, M]`, bool `[B]`.
    """
    # The batch comes last, where sums and maxima over rows and columns vectorise.
    x = tf.transpose(x, [1, 2, 0])
    g = tf.reduce_max(x, axis=0)
    # A column that is forbidden throughout has no maximum.
    g = tf.where(g > -math.inf, g, tf.zeros_like(g))
    if existing is not None:
        g = tf.where(existing.more_cols, tf.zeros_like(g), g)
    reduced = x - g
    best = tf.reduce_max(reduced, axis=1, keepdims=True)
    tight = reduced >= best
    if existing is not None:
        # A row that does not exist has no tight pair.
        tight &= best > -math.inf
    tight = tf.cast(tight, tf.int32)
    per_column = tf.reduce_sum(tight, axis=0)
    if existing is None:
        # Every row has a tight pair: if every column has just one, each row has its own.
        decided = tf.reduce_all(per_column == 1, axis=0)
    else:
        per_row = tf.reduce_sum(tight, axis=1)
        exists = tf.transpose(tf.cast(existing.rows, g.dtype)) > 0
        decided = tf.reduce_all(per_column <= 1, axis=0)
        decided &= tf.reduce_all((per_row == 1) | ~exists, axis=0)
    perm = tf.reduce_sum(tight * tf.range(x.shape[1])[:, None], axis=1)
    # As floating point: oneDNN complains on stderr of transposed int32 without AVX-512.
    perm = tf.cast(tf.transpose(tf.cast(perm, g.dtype)), tf.int32)
    if existing is not None:
        perm = tf.where(existing.rows, perm, -1)
    return perm, tf.transpose(g), decided


def _decide(x, duals):
    """The best permutations of squares, and their duals: `(perm,)` or `(perm, g)`."""
    perm, feasible, rows = _by_subsets(x)
    answer = tf.where(feasible[:, None], perm, -1)
    if not duals:
        return (answer,)
    perm = tf.where(feasible[:, None], perm, tf.range(x.shape[-1]))
    rows = tf.where(feasible, rows, tf.zeros_like(rows))
    return answer, interior_duals.from_matching(rows, perm)


def _decide_existing(x, exists, more_cols, duals):
    """`_decide` with rows of score 0 for what is missing."""
    n, m = batching.sizes(x, 1)
    x = tf.where(exists[:, :, None], x, 0)
    x = tf.pad(x, [[0, 0], [0, m - n], [0, 0]])
    perm, *g = _decide(x, duals)
    perm = tf.where(exists, perm[:, :n], -1)
    if not duals:
        return (perm,)
    # The rows of score 0 are equal, hence so are the duals of their columns.
    taken = invert(perm, m) >= 0
    level = tf.reduce_min(tf.where(~taken, g[0], math.inf), axis=1, keepdims=True)
    above = tf.where(taken, tf.maximum(g[0] - level, 0), 0)
    return perm, tf.where(more_cols[:, None], above, g[0])


def _by_subsets(x):
    """The best permutations by dynamic programming over sets of columns.

    Returns:
        `(perm, feasible, rows)`: int32 `[B, N]`; bool `[B]`, whether there is any
        permutation; and the scores with the batch last, `[N, N, B]`.
    """
    n = x.shape[-1]
    half = n // 2
    # The batch comes last, where sums and maxima over the sets vectorise.
    rows = tf.transpose(x, [1, 2, 0])
    halves = tf.concat(tf.split(rows, [half, half, n - 2 * half])[:2], axis=2)
    first, second = tf.split(_best_values(halves), 2, axis=1)
    joins = _joins(n)
    total = tf.gather(first, joins.first) + tf.gather(second, joins.second)
    if n % 2:
        total += tf.gather(rows[-1], joins.last)
    # A GPU gives the lowest finite number for the maximum of -inf alone.
    feasible = tf.reduce_any(total > -math.inf, axis=0)
    chosen = tf.argmax(total, axis=0, output_type=tf.int32)
    columns = tf.split(tf.gather(joins.columns, chosen), [half, half, n - 2 * half], 1)
    parts = _ordered(halves, tf.concat(columns[:2], axis=0))
    perm = tf.concat([*tf.split(parts, 2), columns[2]], axis=1)
    return perm, feasible, rows


def _best_values(rows):
    """The best value of all rows on each set of as many columns.

    Args:
        rows: float64 `[k, N, B]`.

    Returns:
        float64 `[sets, B]`.
    """
    n = rows.shape[1]
    values, *rows = tf.unstack(rows)
    for k, row in enumerate(rows, 2):
        smaller, column = subsets.extensions(n, k)
        extended = tf.gather(values, smaller) + tf.gather(row, column)
        values = tf.reduce_max(extended, axis=0)
    return values


def _ordered(rows, columns):
    """The best way to put rows on sets of columns: tries all k! of them.

    Args:
        rows: float64 `[k, N, B]`.
        columns: int32 `[B, k]`, the set of each example.

    Returns:
        int32 `[B, k]`, the column of each row.
    """
    k = rows.shape[0]
    if k < 2:
        return columns
    orders = np.array(list(itertools.permutations(range(k))), np.int32)
    scores = tf.gather(tf.transpose(rows, [2, 0, 1]), columns, axis=2, batch_dims=1)
    scores = tf.transpose(tf.reshape(scores, [-1, k * k]))
    terms = tf.gather(scores, (orders + k * np.arange(k)).T)
    # This adds up in an order that does not depend on the size of the batch.
    best = tf.argmax(tf.add_n(tf.unstack(terms)), axis=0, output_type=tf.int32)
    return tf.gather(columns, tf.gather(orders, best), batch_dims=1)


class _Joins:
    """How two halves of the rows, and the last row of an odd number, share N columns.

    Attributes:
        first, second: int32 `[joins]`, the set of columns of each half.
        last: int32 `[joins]`, the column that is left, if N is odd.
        columns: int32 `[joins, N]`, of the first half, the second, and the last row.
    """

    def __init__(self, n):
        half = n // 2
        sets = list(itertools.combinations(range(n), half))
        number = {columns: k for k, columns in enumerate(sets)}
        joins = [
            (one, other, sorted(set(range(n)).difference(one, other)))
            for one in sets
            for other in sets
            if not set(one) & set(other)
        ]
        self.first = np.array([number[one] for one, _, _ in joins], np.int32)
        self.second = np.array([number[other] for _, other, _ in joins], np.int32)
        self.columns = np.array([[*a, *b, *c] for a, b, c in joins], np.int32)
        self.last = self.columns[:, -1]


@functools.cache
def _joins(n):
    return _Joins(n)
