"""Column duals near the optimum of an assignment, by annealed Sinkhorn iterations.

The potentials of the Sinkhorn operator tend to optimal duals as the temperature
falls, and to ones in the interior of the optimal face, so that the matching they decide
is also proven by them. A guess is enough, hence float32, a fixed number of steps and no
test of convergence: any finite duals serve the search in `augmenting_paths`, only more
slowly.
"""

import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import batching

# Their unit is the mean distance of the scores from the best of their column.
TEMPERATURES = (0.2, 0.05, 0.01)
N_ITERS = 5
# Up to this N, sums over the matrices with the batch as the last axis, where they
# vectorise, are faster than products of matrices.
MAX_SMALL_N = 16


class _Limits(typing.NamedTuple):
    """What the iterations keep to, float32 `[B, N]` or `[B, M]`, or as the scores are."""

    rows: tf.Tensor  # the sums of the rows: 1, or 0 for those that do not exist
    cols: tf.Tensor  # the sums of the columns, likewise
    lowest: tf.Tensor  # the potentials of the columns are at least this


def warm_duals(x, existing=None):
    """Column duals to start a search from.

    Args:
        x: float64 `[B, N, M]`, at most 1e300 in size; `-inf` forbids a pair.
        existing: The `Existing`; None for whole squares.

    Returns:
        float64 `[B, M]`, finite: the column maxima, or duals with a smaller bound. With
        more columns than rows they are >= 0.
    """
    if existing is None:
        top = _finite_max(x, axis=1)
        below = x - top
    else:
        top, below = _first_duals(x, existing)
    allowed = below > -math.inf
    count = tf.reduce_sum(tf.cast(allowed, tf.float64), [1, 2], keepdims=True)
    total = tf.reduce_sum(tf.where(allowed, below, 0), [1, 2], keepdims=True)
    scale = -total / tf.maximum(count, 1)
    unit = tf.where(scale > 0, scale, 1)
    # The exponential of less than -1e3 is 0 at every temperature.
    scores = tf.cast(tf.maximum(below / unit, -1e3), tf.float32)
    top, scale, unit = top[:, 0, :], scale[:, 0], unit[:, 0]
    m = x.shape[-1]
    small = m is not None and m <= MAX_SMALL_N
    sinkhorn = _batch_last if small else _batch_first
    if existing is None:
        guess = top + scale * tf.cast(sinkhorn(scores, None), tf.float64)
    else:
        more_cols = existing.more_cols[:, None]
        rows, cols = (tf.cast(mask, tf.float32) for mask in existing[:2])
        lowest = tf.cast(tf.where(more_cols, -top / unit, -math.inf), tf.float32)
        potential = sinkhorn(scores, _Limits(rows, cols, lowest))
        guess = top + scale * tf.cast(potential, tf.float64)
        # Exactly 0, which the rounding would miss.
        free = (potential <= lowest) | (more_cols & (guess < 0))
        guess = tf.where(free, tf.zeros_like(guess), guess)
    # A guess that overflowed is not better. Very negative entries used as a mask can
    # distort the scale.
    better = _bound(x, guess, existing) < _bound(x, top, existing)
    return tf.where(better[:, None], guess, top)


def _first_duals(x, existing):
    """The column duals `[B, 1, M]` to begin with, and the losses `[B, N, M]` at them.

    With more columns than rows they are what columns are worth above the best of those
    that would be left, if the rows took the best columns.
    """
    top = _finite_max(x, axis=1)
    worth = tf.reduce_max(x - _finite_max(x, axis=2), axis=1)
    best_first = tf.sort(worth, axis=1, direction="DESCENDING")
    count = tf.reduce_sum(tf.cast(existing.rows, tf.int32), axis=1)
    last = tf.shape(x)[2] - 1
    left = tf.gather(best_first, tf.minimum(count, last), batch_dims=1)[:, None]
    surplus = tf.where(left > -math.inf, tf.maximum(worth - left, 0), 0)[:, None, :]
    more_cols = existing.more_cols
    top = batching.where(more_cols, surplus, top)
    reduced = x - top
    best = batching.where(more_cols, _finite_max(reduced, axis=2), tf.zeros_like(top))
    return top, reduced - best


def _finite_max(x, axis):
    """The maxima, with that axis kept; 0 where they are infinite."""
    top = tf.reduce_max(x, axis=axis, keepdims=True)
    return tf.where(tf.math.is_finite(top), top, tf.zeros_like(top))


def _bound(x, g, existing):
    """The upper bound of every permutation that the duals prove, `[B]`."""
    f = tf.reduce_max(x - g[:, None, :], 2)
    if existing is not None:
        f = tf.where(existing.rows, f, 0)
    return tf.reduce_sum(g, 1) + tf.reduce_sum(f, 1)


def _batch_first(scores, limits):
    def row_sums(kernel, v):
        return tf.matmul(kernel, v, transpose_b=True)

    def column_sums(kernel, u):
        return tf.matmul(u, kernel, transpose_a=True)

    if limits is not None:
        rows, *columns = limits
        limits = _Limits(rows[:, :, None], *(each[:, None, :] for each in columns))
    return _anneal(scores, 2, (row_sums, column_sums), limits)[:, 0, :]


def _batch_last(scores, limits):
    def row_sums(kernel, v):
        return tf.reduce_sum(kernel * v, 1, keepdims=True)

    def column_sums(kernel, u):
        return tf.reduce_sum(kernel * u, 0, keepdims=True)

    if limits is not None:
        rows, *columns = (tf.transpose(each) for each in limits)
        limits = _Limits(rows[:, None, :], *(each[None] for each in columns))
    scores = tf.transpose(scores, [1, 2, 0])
    return tf.transpose(_anneal(scores, 1, (row_sums, column_sums), limits)[0])


def _anneal(scores, columns, sums, limits):
    """Column potentials, with the axis of rows kept as one of size 1.

    Args:
        scores: Matrices, with the batch first or last.
        columns: The axis of the columns; that of the rows is the one before.
        sums: Functions of the kernel and the factors of columns or rows that return
            their product, the sums of the rows and of the columns.
        limits: The `_Limits`; None for whole squares.
    """
    potential = tf.zeros_like(tf.reduce_max(scores, columns - 1, keepdims=True))
    for temperature in TEMPERATURES:
        reduced = (scores - potential) / temperature
        best = tf.reduce_max(reduced, columns, keepdims=True)
        # The floor keeps the column sums above 0.
        kernel = tf.exp(reduced - best) + 1e-30
        if limits is None:
            v = _column_factors(kernel, sums, tf.ones_like(potential))
            potential -= temperature * tf.math.log(v)
            continue
        most = tf.exp((potential - limits.lowest) / temperature)
        v = _limited_column_factors(kernel, sums, limits, most)
        potential -= temperature * tf.math.log(v)
        potential = tf.maximum(potential, limits.lowest)
    return potential


def _column_factors(kernel, sums, v):
    row_sums, column_sums = sums
    for _ in range(N_ITERS):
        v = 1 / column_sums(kernel, 1 / row_sums(kernel, v))
    return v


def _limited_column_factors(kernel, sums, limits, most):
    """The factors, at most `most`; 1 for columns that do not exist."""
    row_sums, column_sums = sums
    v = limits.cols
    for _ in range(N_ITERS):
        u = limits.rows / row_sums(kernel, v)
        v = tf.minimum(limits.cols / column_sums(kernel, u), most)
    return tf.where(limits.cols > 0, v, 1)
