"""Column duals near the optimum of an assignment, by annealed Sinkhorn iterations.

The potentials of the Sinkhorn operator tend to optimal duals as the temperature
falls, and to ones in the interior of the optimal face, so that what they decide
they also prove. A guess is all that is asked of them, hence float32, a fixed number
of steps and no care for convergence: any finite duals serve the search in
`assignment`, only more slowly.
"""

import math

import tensorflow as tf

# In units of the mean distance of the scores from the best of their column.
TEMPERATURES = (0.2, 0.05, 0.01)
N_ITERS = 3
# Up to this size, sums over the matrices with the batch as the last axis, where they
# vectorise, beat products of matrices.
SMALL = 16


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
    # exp of less than -1e3 is 0 at every temperature.
    scores = tf.maximum(below / tf.where(scale > 0, scale, 1), -1e3)
    scores = tf.cast(scores, tf.float32)
    n = x.shape[-1]
    small = n is not None and n <= SMALL
    sinkhorn = _batch_last if small else _batch_first
    top = top[:, 0, :]
    guess = top + scale[:, 0] * tf.cast(sinkhorn(scores), tf.float64)
    # False for a guess that overflowed; blockers can spoil the scale.
    better = _bound(x, guess) < _bound(x, top)
    return tf.where(better[:, None], guess, top)


def _bound(x, g):
    """What the duals prove, `[B]`."""
    return tf.reduce_sum(g, 1) + tf.reduce_sum(tf.reduce_max(x - g[:, None, :], 2), 1)


def _batch_first(scores):
    potential = _anneal(
        scores,
        columns=2,
        row_sums=lambda kernel, v: tf.matmul(kernel, v, transpose_b=True),
        column_sums=lambda kernel, u: tf.matmul(u, kernel, transpose_a=True),
    )
    return potential[:, 0, :]


def _batch_last(scores):
    potential = _anneal(
        tf.transpose(scores, [1, 2, 0]),
        columns=1,
        row_sums=lambda kernel, v: tf.reduce_sum(kernel * v, 1, keepdims=True),
        column_sums=lambda kernel, u: tf.reduce_sum(kernel * u, 0, keepdims=True),
    )
    return tf.transpose(potential[0])


def _anneal(scores, columns, row_sums, column_sums):
    """Column potentials with rows kept as an axis of size 1.

    Args:
        scores: The matrices.
        columns: Their axis of columns; that of rows is the one before.
        row_sums, column_sums: Product of kernel and factors.
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
