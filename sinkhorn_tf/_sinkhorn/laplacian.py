"""Linear systems of the Sinkhorn problem: those of a weighted graph's Laplacian."""

import tensorflow as tf

from sinkhorn_tf._core.compilation import is_for_xla

# This is added to a vertex's total weight: smaller weights change no marginal by more.
_WEIGHT_FLOOR = 1e-13
# XLA on a CPU expands Cholesky's factorisation into many small loops. Up to this N it takes
# elimination by dense steps instead, which costs three times the operations.
MAX_N_COMPILED = 25


def solve_laplacian(weights, right):
    """Solves `(diag(W 1) - W) y = right` for symmetric non-negative weights W.

    Only the entries off the diagonal of `weights` count, so that weights far below 1
    (a plan close to a permutation) lose no digits to a difference from 1. The system
    is scaled to a unit diagonal; its null direction, the constant, gets a weight of
    its own. Cholesky's factorisation gives NaN for a singular example alone, where
    `tf.linalg.solve` would raise for the whole batch; elimination, under XLA, gives such
    an example numbers without meaning.

    Args:
        weights: float64 `[B, N, N]`.
        right: float64 `[B, N, K]`, each column with the sum 0.

    Returns:
        float64 `[B, N, K]`.
    """
    # Some processors round a product and its transpose differently. The factorisation
    # reads one half of the matrix and the degrees are sums of rows: where weights of 1 and
    # 1e-9 meet, a difference of 1e-7 between the halves would be all that remains.
    weights = (weights + tf.linalg.matrix_transpose(weights)) / 2
    weights = tf.linalg.set_diag(weights, tf.zeros_like(weights[:, :, 0]))
    degree = tf.reduce_sum(weights, 2) + _WEIGHT_FLOOR
    null = degree / tf.reduce_sum(degree, 1, keepdims=True)
    # The null direction of the scaled system is sqrt(degree).
    inverse = tf.math.rsqrt(degree)
    matrix = null[:, :, None] * degree[:, None, :] - weights
    matrix *= inverse[:, :, None] * inverse[:, None, :]
    matrix = tf.linalg.set_diag(matrix, 1 + null)
    inverse = inverse[:, :, None]
    n = matrix.shape[1]
    if n is not None and n <= MAX_N_COMPILED and is_for_xla():
        return _eliminate(matrix, right * inverse) * inverse
    factor = tf.linalg.cholesky(matrix)
    return tf.linalg.cholesky_solve(factor, right * inverse) * inverse


def _eliminate(matrix, right):
    """Solves a positive definite system by the elimination of Gauss and Jordan."""
    n = matrix.shape[1]
    index = tf.range(n)

    def eliminate(k, rows):
        pivot_row, factors = rows[:, k], rows[:, :, k]
        pivot_row /= pivot_row[:, k, None]
        # The pivot's own row becomes the scaled one.
        factors -= tf.cast(tf.equal(index, k), factors.dtype)
        return k + 1, rows - factors[:, :, None] * pivot_row[:, None, :]

    _, rows = tf.while_loop(
        lambda k, _: k < n,
        eliminate,
        (tf.constant(0), tf.concat([matrix, right], axis=2)),
        maximum_iterations=n,
    )
    return rows[:, :, n:]
