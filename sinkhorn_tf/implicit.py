"""The derivative of the Sinkhorn limit through the equations of its marginals."""

import tensorflow as tf

# Added to a matrix whose eigenvalues lie in [0, 1]. Directions below it belong to
# plans that are permutations to within rounding, where the gradient vanishes.
_JITTER = {tf.float32: 1e-7, tf.float64: 1e-13}


def implicit_gradient(plan, upstream):
    """Gradient with respect to the scaled logits at a doubly stochastic plan.

    Differentiating `plan = exp(z + a + b)` with fixed marginals `r, c` gives
    `z_bar = plan * (upstream - x - y)` where `x` and `y` solve

        diag(r) x + P y = (upstream * P) 1,    P^T x + diag(c) y = (upstream * P)^T 1.

    Eliminating x leaves one symmetric positive semidefinite system for y, whose null
    direction (a constant moved between x and y) is fixed by adding `1 1^T / N`. It is
    solved by Cholesky in float64, which gives up on one example alone, not the batch.

    Args:
        plan: `[B, N, N]`, float32 or float64.
        upstream: Gradient with respect to the plan, `[B, N, N]`.

    Returns:
        `[B, N, N]`; 0 for an example whose system could not be factorised.
    """
    dtype = plan.dtype
    p, g = tf.cast(plan, tf.float64), tf.cast(upstream, tf.float64)
    weighted = g * p
    rows, cols = tf.reduce_sum(p, 2), tf.reduce_sum(p, 1)
    # A row or column without mass takes no part.
    rows, cols = (tf.where(x > 0, x, tf.ones_like(x)) for x in (rows, cols))
    scaled = p / rows[:, :, None]
    n = tf.shape(p)[-1]
    schur = tf.linalg.diag(cols) - tf.matmul(p, scaled, transpose_a=True)
    schur += 1 / tf.cast(n, tf.float64) + _JITTER[dtype] * tf.eye(n, dtype=tf.float64)
    row_part, col_part = tf.reduce_sum(weighted, 2), tf.reduce_sum(weighted, 1)
    right = col_part - tf.linalg.matvec(scaled, row_part, transpose_a=True)
    y = tf.linalg.cholesky_solve(tf.linalg.cholesky(schur), right[:, :, None])[:, :, 0]
    x = (row_part - tf.linalg.matvec(p, y)) / rows
    z_bar = weighted - p * (x[:, :, None] + y[:, None, :])
    finite = tf.reduce_all(tf.math.is_finite(z_bar), axis=[1, 2], keepdims=True)
    return tf.cast(tf.where(finite, z_bar, tf.zeros_like(z_bar)), dtype)
