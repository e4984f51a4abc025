"""The derivative of the Sinkhorn limit through the equations of its marginals."""

import tensorflow as tf

from sinkhorn_tf._sinkhorn.laplacian import solve_laplacian


def implicit_gradient(plan, upstream, row_upstream=None, col_upstream=None):
    """Gradient with respect to the scaled logits at a plan with fixed marginals.

    Differentiating `plan = exp(z + a + b)` with fixed marginals `r, c` gives
    `z_bar = plan * (upstream - x - y)` where `x` and `y` solve

        diag(r) x + P y = (upstream * P) 1 + a_bar,
        P^T x + diag(c) y = (upstream * P)^T 1 + b_bar.

    Eliminating x leaves the Laplacian of the weights `P^T diag(1/r) P` for y. Close
    to a permutation these weights vanish, and the differences in the formulas are all
    of the result. So a row's gradients and its `y` are taken relative to those at the
    largest entry of the row, which changes nothing else.

    Args:
        plan: `[B, N, M]`, float32 or float64.
        upstream: Gradient with respect to the plan, `[B, N, M]`.
        row_upstream: Gradient with respect to the log scalings `a` `[B, N]` of the
            rows.
        col_upstream: Gradient with respect to the log scalings `b` `[B, M]` of the
            columns, with the same sum: a function of both that does not change with
            their free constant has such gradients.

    Returns:
        `[B, N, M]`; 0 for an example whose system could not be factorised.
    """
    n, m = plan.shape[1:]
    if n is not None and m is not None and n < m:
        # The system is that of the columns.
        flip = tf.linalg.matrix_transpose
        return flip(
            implicit_gradient(flip(plan), flip(upstream), col_upstream, row_upstream)
        )
    p, g = tf.cast(plan, tf.float64), tf.cast(upstream, tf.float64)
    rows = tf.reduce_sum(p, 2)
    # A row without mass takes no part.
    rows = tf.where(rows > 0, rows, tf.ones_like(rows))
    scaled = p / rows[:, :, None]
    largest = tf.argmax(p, 2, output_type=tf.int32)
    g -= tf.gather(g, largest[:, :, None], axis=2, batch_dims=2)
    weighted = g * p
    row_part, col_part = tf.reduce_sum(weighted, 2), tf.reduce_sum(weighted, 1)
    if row_upstream is not None:
        row_part += tf.cast(row_upstream, tf.float64)
        col_part += tf.cast(col_upstream, tf.float64)

    right = col_part - tf.linalg.matvec(scaled, row_part, transpose_a=True)
    weights = tf.matmul(p, scaled, transpose_a=True)
    y = solve_laplacian(weights, right[:, :, None])[:, :, 0]
    y = y[:, None, :] - tf.gather(y, largest, batch_dims=1)[:, :, None]
    x = row_part / rows - tf.reduce_sum(scaled * y, 2)
    z_bar = weighted - p * (x[:, :, None] + y)
    finite = tf.reduce_all(tf.math.is_finite(z_bar), axis=[1, 2], keepdims=True)
    return tf.cast(tf.where(finite, z_bar, tf.zeros_like(z_bar)), plan.dtype)
