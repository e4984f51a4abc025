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
N_ITERS = 3
# Up to this N, sums over the matrices with the batch as the last axis, where they
# vectorise, are faster than products of matrices.
MAX_SMALL_N = 16


def warm_duals(x, existing=None):
    """Column duals to start a search from.

    Args:
        x: float64 `[B, N, M]`, at most 1e300 in size; `-inf` forbids a pair.
        existing: The `Existing`; None for whole squares.

    Returns:
        float64 `[B, M]`, finite, >= 0 with more columns than rows: the column maxima, or
        0 with more columns than rows, or duals with a smaller bound.
    """
    top = _finite_max(x, axis=1)
    below = x - top
    if existing is not None:
        # A column of no row has the dual 0, and the others are near it.
        more_cols = existing.more_cols
        below = batching.where(more_cols, x - _finite_max(x, axis=2), below)
        top = batching.where(more_cols, tf.zeros_like(top), top)
    allowed = below > -math.inf
    count = tf.reduce_sum(tf.cast(allowed, tf.float64), [1, 2], keepdims=True)
    total = tf.reduce_sum(tf.where(allowed, below, 0), [1, 2], keepdims=True)
    scale = -total / tf.maximum(count, 1)
    # The exponential of less than -1e3 is 0 at every temperature.
    scores = tf.maximum(below / tf.where(scale > 0, scale, 1), -1e3)
    scores = tf.cast(scores, tf.float32)
    m = x.shape[-1]
    small = m is not None and m <= MAX_SMALL_N
    sinkhorn = _batch_last if small else _batch_first
    top = top[:, 0, :]
    guess = top + scale[:, 0] * tf.cast(sinkhorn(scores, existing), tf.float64)
    # A guess that overflowed is not better. Very negative entries used as a mask can
    # distort the scale.
    better = _bound(x, guess, existing) < _bound(x, top, existing)
    return tf.where(better[:, None], guess, top)


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


class _Masses(typing.NamedTuple):
    """What `Existing` says, in the layout of the scores: 1 and 0, or bool."""

    rows: tf.Tensor
    cols: tf.Tensor
    more_cols: tf.Tensor


def _batch_first(scores, existing):
    def row_sums(kernel, v):
        return tf.matmul(kernel, v, transpose_b=True)

    def column_sums(kernel, u):
        return tf.matmul(u, kernel, transpose_a=True)

    masses = None
    if existing is not None:
        rows, cols = (tf.cast(mask, scores.dtype) for mask in existing[:2])
        more_cols = existing.more_cols[:, None, None]
        masses = _Masses(rows[:, :, None], cols[:, None, :], more_cols)
    return _anneal(scores, 2, (row_sums, column_sums), masses)[:, 0, :]


def _batch_last(scores, existing):
    def row_sums(kernel, v):
        return tf.reduce_sum(kernel * v, 1, keepdims=True)

    def column_sums(kernel, u):
        return tf.reduce_sum(kernel * u, 0, keepdims=True)

    masses = None
    if existing is not None:
        rows, cols = (tf.transpose(tf.cast(x, scores.dtype)) for x in existing[:2])
        masses = _Masses(rows[:, None, :], cols[None], existing.more_cols)
    scores = tf.transpose(scores, [1, 2, 0])
    return tf.transpose(_anneal(scores, 1, (row_sums, column_sums), masses)[0])


def _anneal(scores, columns, sums, masses):
    """Column potentials, with the axis of rows kept as one of size 1.

    Args:
        scores: Matrices, with the batch first or last.
        columns: The axis of the columns; that of the rows is the one before.
        sums: Functions of the kernel and the factors of columns or rows that return
            their product, the sums of the rows and of the columns.
        masses: The `_Masses`; None for whole squares.
    """
    potential = tf.zeros_like(tf.reduce_max(scores, columns - 1, keepdims=True))
    for temperature in TEMPERATURES:
        reduced = (scores - potential) / temperature
        best = tf.reduce_max(reduced, columns, keepdims=True)
        # The floor keeps the column sums above 0.
        kernel = tf.exp(reduced - best) + 1e-30
        v = _column_factors(kernel, potential / temperature, sums, masses)
        potential -= temperature * tf.math.log(v)
        if masses is not None:
            potential = tf.where(masses.more_cols, tf.maximum(potential, 0), potential)
    return potential


def _column_factors(kernel, potential, sums, masses):
    """The factors of the columns after some iterations, 1 for those that do not exist."""
    row_sums, column_sums = sums
    if masses is None:
        v = tf.ones_like(potential)
        for _ in range(N_ITERS):
            v = 1 / column_sums(kernel, 1 / row_sums(kernel, v))
        return v
    # A column that is to be taken at most once has a potential >= 0.
    most = tf.where(masses.more_cols, tf.exp(potential), math.inf)
    v = masses.cols
    for _ in range(N_ITERS):
        u = masses.rows / row_sums(kernel, v)
        v = tf.minimum(masses.cols / column_sums(kernel, u), most)
    return tf.where(masses.cols > 0, v, 1)
