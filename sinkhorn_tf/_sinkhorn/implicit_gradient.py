"""The derivative of the Sinkhorn limit through the equations of its marginals."""

import tensorflow as tf

from sinkhorn_tf._sinkhorn.laplacian import solve_laplacian


def implicit_gradient(plan, upstream, row_upstream=None, col_upstream=None):
    """Gradients with respect to the scaled logits and the marginals of a plan.

    Differentiating `plan = exp(z + a + b)` with fixed marginals `r, c` gives
    `z_bar = plan * (upstream - x - y)` where `x` and `y` solve

        diag(r) x + P y = (upstream * P) 1 + a_bar,
        P^T x + diag(c) y = (upstream * P)^T 1 + b_bar.

    Eliminating x leaves the Laplacian of the weights `P^T diag(1/r) P` for y. Close
    to a permutation these weights vanish, and the differences in the formulas are all
    of the result. So a row's gradients and its `y` are taken relative to those at the
    largest entry of the row, which changes nothing else. With derivatives of the
    marginals, `x` and `y` are the gradients with respect to r and c, up to a constant
    that changes nothing where the totals of both are equal.

    Args:
        plan: `[B, N, M]`, float32 or float64.
        upstream: Gradient with respect to the plan, `[B, N, M]`.
        row_upstream: Gradient with respect to the log scalings `a` `[B, N]` of the
            rows.
        col_upstream: Gradient with respect to the log scalings `b` `[B, M]` of the
            columns, with the same sum: a function of both that does not change with
            their free constant has such gradients.

    Returns:
        `(z_bar, row_bar, col_bar)`: `[B, N, M]`, `[B, N, 1]` and `[B, 1, M]`; 0 for an
        example whose system could not be factorised.
    """
    n, m = plan.shape[1:]
    if n is not None and m is not None and n < m:
        # The system is that of the columns.
        flip = tf.linalg.matrix_transpose
        z_bar, col_bar, row_bar = implicit_gradient(
            flip(plan), flip(upstream), col_upstream, row_upstream
        )
        return flip(z_bar), flip(row_bar), flip(col_bar)
    p, g = tf.cast(plan, tf.float64), tf.cast(upstream, tf.float64)
    rows = tf.reduce_sum(p, 2)
    # A row without mass takes no part.
    rows = tf.where(rows > 0, rows, tf.ones_like(rows))
    scaled = p / rows[:, :, None]
    largest = tf.argmax(p, 2, output_type=tf.int32)
    g_largest = tf.gather(g, largest[:, :, None], axis=2, batch_dims=2)
    g -= g_largest
    weighted = g * p
    row_part, col_part = tf.reduce_sum(weighted, 2), tf.reduce_sum(weighted, 1)
    if row_upstream is not None:
        row_part += tf.cast(row_upstream, tf.float64)
        col_part += tf.cast(col_upstream, tf.float64)

    right = col_part - tf.linalg.matvec(scaled, row_part, transpose_a=True)
    weights = tf.matmul(p, scaled, transpose_a=True)
    y = solve_laplacian(weights, right[:, :, None])
    y_largest = tf.gather(y, largest, batch_dims=1)
    y = tf.linalg.matrix_transpose(y)
    relative_y = y - y_largest
    x = (row_part / rows - tf.reduce_sum(scaled * relative_y, 2))[:, :, None]
    z_bar = weighted - p * (x + relative_y)
    finite = tf.reduce_all(tf.math.is_finite(z_bar), axis=[1, 2], keepdims=True)
    bars = (z_bar, x - y_largest + g_largest, y)
    return tuple(
        tf.cast(tf.where(finite, bar, tf.zeros_like(bar)), plan.dtype) for bar in bars
    )
