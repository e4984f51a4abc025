"""Linear assignment of few items without a search.

What the column maxima decide is decided by them: most of what a trained network
scores. The rest is solved by dynamic programming over sets of columns (Bellman 1962,
Held & Karp 1962): the best value of the first k rows on a set of k columns comes from
the best of the first k - 1 rows on that set less one. The rows are halved, both halves
done at once, and joined. The number of ops is fixed and small; a search costs more
than all of this for a few of its steps, and goes on as long as the hardest example of
the batch needs.
"""

import functools
import itertools
import math

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.compilation import is_for_xla

# The most rows: 1,100 additions for an example, twice as many for one more.
MOST = 9
# Compiled by XLA on a CPU, which fetches the values of sets one by one, and where the
# steps of a search cost little.
MOST_COMPILED = 6
# The undecided are solved so many at a time, or a quarter of the batch if that is more:
# few enough to cost little where they are few, and at most four rounds on any device.
CHUNK = 16


def is_few(x):
    """Whether N is known and small enough for `assign_few` to be the faster way."""
    n = x.shape[-1]
    return n is not None and 2 <= n <= (MOST_COMPILED if is_for_xla() else MOST)


def assign_few(x, ignored, duals=True):
    """Matches rows to columns so that the sum is largest.

    Args:
        x: float64 `[B, N, N]`, N static, from 2 to `MOST`, sums of N finite; `-inf`
            forbids a pair.
        ignored: bool `[B]`, examples that may have anything, as an answer too.
        duals: Whether to return duals.

    Returns:
        `(perm, g)`: int32 `[B, N]`, -1 throughout where there is no permutation;
        column duals `[B, N]`, finite, in the interior of the optimal face: each row of
        `x - g` has its maximum at the matched column, up to rounding, and nowhere else
        where the permutation is unique. None without `duals`.
    """
    perm, g, decided = _by_column_maxima(x)
    decided |= ignored
    batch = tf.shape(x)[0]
    left = tf.reduce_sum(tf.cast(~decided, tf.int32))
    size = tf.minimum(tf.maximum(CHUNK, (batch + 3) // 4), batch)
    order = tf.argsort(tf.cast(decided, tf.int32), stable=True)

    def decide_chunk(start, *results):
        # The last chunk may repeat examples, or hold some that are decided.
        index = tf.gather(order, tf.minimum(start + tf.range(size), batch - 1))
        keep = tf.gather(decided, index)[:, None]
        parts = _by_subsets(tf.gather(x, index), duals)
        return start + size, *(
            tf.tensor_scatter_nd_update(
                whole, index[:, None], tf.where(keep, tf.gather(whole, index), part)
            )
            for whole, part in zip(results, parts, strict=True)
        )

    _, *results = tf.while_loop(
        lambda start, *_: start < left,
        decide_chunk,
        (0, perm, g) if duals else (0, perm),
    )
    return results if duals else (*results, None)


def _by_column_maxima(x):
    """Rows that are alone the best in different columns.

    Returns:
        `(perm, g, decided)`: `[B, N]`, `[B, N]`, bool `[B]`.
    """
    # The batch last, where sums and maxima over rows and columns vectorise.
    x = tf.transpose(x, [1, 2, 0])
    g = tf.reduce_max(x, axis=0)
    # Of a column that is forbidden.
    g = tf.where(g > -math.inf, g, tf.zeros_like(g))
    reduced = x - g
    best = tf.reduce_max(reduced, axis=1, keepdims=True)
    tight = tf.cast(reduced >= best, tf.int32)
    # Every row has one pair or more: where every column has one, each has its own.
    decided = tf.reduce_all(tf.reduce_sum(tight, axis=0) == 1, axis=0)
    perm = tf.reduce_sum(tight * tf.range(x.shape[1])[:, None], axis=1)
    return tf.transpose(perm), tf.transpose(g), decided


def _by_subsets(x, duals):
    """`assign_few` from the sets of columns, a tuple of one or two."""
    n = x.shape[-1]
    half = n // 2
    # The batch last, where sums and maxima over the sets vectorise.
    rows = tf.transpose(x, [1, 2, 0])
    halves = tf.concat(tf.split(rows, [half, half, n - 2 * half])[:2], axis=2)
    first, second = tf.split(_best_values(halves), 2, axis=1)
    joins = _joins(n)
    total = tf.gather(first, joins.first) + tf.gather(second, joins.second)
    if n % 2:
        total += tf.gather(rows[-1], joins.last)
    feasible = tf.reduce_max(total, axis=0) > -math.inf
    chosen = tf.argmax(total, axis=0, output_type=tf.int32)
    columns = tf.split(tf.gather(joins.columns, chosen), [half, half, n - 2 * half], 1)
    parts = _ordered(halves, tf.concat(columns[:2], axis=0))
    perm = tf.concat([*tf.split(parts, 2), columns[2]], axis=1)
    answer = tf.where(feasible[:, None], perm, -1)
    if not duals:
        return (answer,)
    perm = tf.where(feasible[:, None], perm, tf.range(n))
    return answer, _interior_duals(tf.where(feasible, rows, tf.zeros_like(rows)), perm)


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
        smaller, column = _steps(n, k)
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
    # Added up in an order that does not depend on the size of the batch.
    best = tf.argmax(tf.add_n(tf.unstack(terms)), axis=0, output_type=tf.int32)
    return tf.gather(columns, tf.gather(orders, best), batch_dims=1)


def _interior_duals(rows, perm):
    """Column duals in the interior of the optimal face.

    Of the optimal permutation alone: the distances to the nearest node of the residual
    graph are optimal duals, whatever the signs of the edges, since no cycle is
    negative; the average distance to all nodes leaves slack on every pair that can
    have it.

    Args:
        rows: float64 `[N, N, B]`.
        perm: int32 `[B, N]`.

    Returns:
        float64 `[B, N]`.
    """
    n = rows.shape[0]
    # Node k is row k with its column perm[k]; edge k -> l is row k in l's column.
    scores = tf.gather(tf.transpose(rows, [2, 0, 1]), perm, axis=2, batch_dims=1)
    matched = tf.linalg.diag_part(scores)[:, :, None]
    distance = tf.reshape(tf.transpose(matched - scores, [1, 2, 0]), [n * n, -1])
    start, middle, end = np.indices([n, n, n]).transpose(0, 2, 1, 3).reshape(3, n, -1)
    first, second = np.int32(start * n + middle), np.int32(middle * n + end)
    for _ in range(math.ceil(math.log2(n - 1))):
        # Ways of twice as many edges, until there are all.
        ways = tf.gather(distance, first) + tf.gather(distance, second)
        distance = tf.reduce_min(ways, axis=0)
    distance = tf.reshape(distance, [n, n, -1])
    nearest = tf.reduce_min(distance, axis=1)
    distance = tf.maximum(distance - nearest[:, None] + nearest, 0)
    # The unreachable count as the farthest that can be reached.
    finite = tf.where(distance < math.inf, distance, 0)
    farthest = tf.reduce_max(finite, axis=[0, 1])
    distance = tf.minimum(distance, farthest)
    duals = nearest + tf.add_n(tf.unstack(distance, axis=1)) / n
    return tf.gather(tf.transpose(duals), tf.argsort(perm, axis=1), batch_dims=1)


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


_joins = functools.cache(_Joins)


@functools.cache
def _steps(n, k):
    """How a set of k of n columns, in lexicographic order, comes of a smaller one.

    Returns:
        `(smaller, column)`: int32 `[k, sets]`, the number of the set without each of its
        columns, and that column.
    """
    number = {s: i for i, s in enumerate(itertools.combinations(range(n), k - 1))}
    sets = list(itertools.combinations(range(n), k))
    smaller = [[number[s[:j] + s[j + 1 :]] for s in sets] for j in range(k)]
    return np.array(smaller, np.int32), np.array(sets, np.int32).T
