"""Column duals near the optimum of an assignment, by annealed Sinkhorn iterations.

The potentials of the Sinkhorn operator tend to optimal duals as the temperature
falls, and to ones in the interior of the optimal face, so that the matching they decide
is also proven by them. A guess is enough, hence float32, a fixed number of steps and no
test of convergence: any finite duals serve the search in `augmenting_paths`, only more
slowly.
"""

import math

import tensorflow as tf

# Their unit is the mean distance of the scores from the best of their column.
TEMPERATURES = (0.2, 0.05, 0.01)
N_ITERS = 3
# Up to this N, sums over the matrices with the batch as the last axis, where they
# vectorise, are faster than products of matrices.
MAX_SMALL_N = 16


def warm_duals(x):
    """Column duals to start a search from.

    Args:
        x: float64 `[B, N, N]`, at most 1e300 in size; `-inf` forbids a pair.

    Returns:
        float64 `[B, N]`, finite: the column maxima, or duals with a smaller bound.
    """
    top = tf.reduce_max(x, axis=1, keepdims=True)
    top = tf.where(tf.math.is_finite(top), top, tf.zeros_like(top))
    below = x - top
    allowed = below > -math.inf
    count = tf.reduce_sum(tf.cast(allowed, tf.float64), [1, 2], keepdims=True)
    total = tf.reduce_sum(tf.where(allowed, below, 0), [1, 2], keepdims=True)
    scale = -total / tf.maximum(count, 1)
    # The exponential of less than -1e3 is 0 at every temperature.
    scores = tf.maximum(below / tf.where(scale > 0, scale, 1), -1e3)
    scores = tf.cast(scores, tf.float32)
    n = x.shape[-1]
    small = n is not None and n <= MAX_SMALL_N
    sinkhorn = _batch_last if small else _batch_first
    top = top[:, 0, :]
    guess = top + scale[:, 0] * tf.cast(sinkhorn(scores), tf.float64)
    # A guess that overflowed is not better. Very negative entries used as a mask can
    # distort the scale.
    better = _bound(x, guess) < _bound(x, top)
    return tf.where(better[:, None], guess, top)


def _bound(x, g):
    """The upper bound of every permutation that the duals prove, `[B]`."""
    return tf.reduce_sum(g, 1) + tf.reduce_sum(tf.reduce_max(x - g[:, None, :], 2), 1)


def _batch_first(scores):
    def row_sums(kernel, v):
        return tf.matmul(kernel, v, transpose_b=True)

    def column_sums(kernel, u):
        return tf.matmul(u, kernel, transpose_a=True)

    return _anneal(scores, 2, row_sums, column_sums)[:, 0, :]


def _batch_last(scores):
    def row_sums(kernel, v):
        return tf.reduce_sum(kernel * v, 1, keepdims=True)

    def column_sums(kernel, u):
        return tf.reduce_sum(kernel * u, 0, keepdims=True)

    scores = tf.transpose(scores, [1, 2, 0])
    return tf.transpose(_anneal(scores, 1, row_sums, column_sums)[0])


def _anneal(scores, columns, row_sums, column_sums):
    """Column potentials, with the axis of rows kept as one of size 1.

    Args:
        scores: Matrices, with the batch first or last.
        columns: The axis of the columns; that of the rows is the one before.
        row_sums, column_sums: Functions of the kernel and the factors of columns or
            rows that return their product.
    """
    potential = tf.zeros_like(tf.reduce_max(scores, columns - 1, keepdims=True))
    for temperature in TEMPERATURES:
        reduced = (scores - potential) / temperature
        best = tf.reduce_max(reduced, columns, keepdims=True)
        # The floor keeps the column sums above 0.
        kernel = tf.exp(reduced - best) + 1e-30
        v = tf.ones_like(potential)
        for _ in range(N_ITERS):
            v = 1 / column_sums(kernel, 1 / row_sums(kernel, v))
        potential -= temperature * tf.math.log(v)
    return potential
