"""Linear systems of the Sinkhorn problem: those of a weighted graph's Laplacian."""

import tensorflow as tf

# This is added to a vertex's total weight: smaller weights change no marginal by more.
_WEIGHT_FLOOR = 1e-13


def solve_laplacian(weights, right):
    """Solves `(diag(W 1) - W) y = right` for symmetric non-negative weights W.

    Only the entries off the diagonal of `weights` count, so that weights far below 1
    (a plan close to a permutation) lose no digits to a difference from 1. The system
    is scaled to a unit diagonal; its null direction, the constant, gets a weight of
    its own. Cholesky's factorisation gives NaN for a singular example alone, where
    `tf.linalg.solve` would raise for the whole batch.

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
    factor = tf.linalg.cholesky(tf.linalg.set_diag(matrix, 1 + null))
    inverse = inverse[:, :, None]
    return tf.linalg.cholesky_solve(factor, right * inverse) * inverse
