"""The Sinkhorn operator in a few lines, to compare with."""

import functools

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st

TEMPERATURES = np.array([1.0, 0.1, 0.03, 0.001])


def logsumexp(z, axis):
    """0 for a row without any allowed pair, whose sum nothing can change."""
    top = z.max(axis=axis, keepdims=True)
    top[top == -np.inf] = 0
    total = np.exp(z - top).sum(axis=axis, keepdims=True)
    return np.log(np.where(total > 0, total, 1)) + top


def reference(x, t, n_iters):
    z = np.asarray(x, np.float64) / np.asarray(t, np.float64)[..., None, None]
    for _ in range(n_iters):
        z = z - logsumexp(z, -1)
        z = z - logsumexp(z, -2)
    return np.exp(z)


def naive(x, t, n_iters):
    z = x / t[..., None, None]
    for _ in range(n_iters):
        z -= tf.reduce_logsumexp(z, -1, keepdims=True)
        z -= tf.reduce_logsumexp(z, -2, keepdims=True)
    return tf.exp(z)


def _masses(n, m):
    """The masses of rows and columns with a slack on the shorter side."""
    rows = np.append(np.ones(n), m - n) if n < m else np.ones(n)
    cols = np.append(np.ones(m), n - m) if n > m else np.ones(m)
    return rows, cols


def extended_reference(x, t, n_iters):
    """`reference` of one matrix `[N, M]` of any size, with its slack row or column."""
    n, m = x.shape
    rows, cols = _masses(n, m)
    z = np.zeros((len(rows), len(cols)))
    z[:n, :m] = x / t
    for _ in range(n_iters):
        z = z - logsumexp(z, 1) + np.log(rows)[:, None]
        z = z - logsumexp(z, 0) + np.log(cols)
    return np.exp(z)


def rectangular_reference(x, t, n_iters):
    """`extended_reference` without the slack."""
    n, m = x.shape
    return extended_reference(x, t, n_iters)[:n, :m]


def masked_reference(x, t, n_iters, row_mask, col_mask):
    """`rectangular_reference` of the submatrix of each example, 0 elsewhere."""
    plan = np.zeros(x.shape)
    for b in range(len(x)):
        where = np.ix_(row_mask[b], col_mask[b])
        sub = np.asarray(x[b], np.float64)[where]
        if sub.size:
            plan[b][where] = rectangular_reference(sub, float(t[b]), n_iters)
    return plan


def rectangular_naive(x, t, n_iters):
    """`rectangular_reference` of a tensor `[N, M]`, to differentiate."""
    n, m = x.shape
    rows, cols = (tf.constant(np.log(mass)) for mass in _masses(n, m))
    z = tf.pad(x / t, [[0, len(rows) - n], [0, len(cols) - m]])
    for _ in range(n_iters):
        z += rows[:, None] - tf.reduce_logsumexp(z, 1, keepdims=True)
        z += cols - tf.reduce_logsumexp(z, 0, keepdims=True)
    return tf.exp(z)[:n, :m]


def masked_naive(x, t, n_iters, row_mask, col_mask):
    """`masked_reference` of tensors, to differentiate."""
    plans = []
    for b in range(len(row_mask)):
        rows, cols = (np.flatnonzero(mask[b]) for mask in (row_mask, col_mask))
        plan = tf.zeros(x.shape[1:], x.dtype)
        if rows.size and cols.size:
            sub = tf.gather(tf.gather(x[b], rows), cols, axis=1)
            sub = rectangular_naive(sub, t[b], n_iters)
            index = np.stack(np.meshgrid(rows, cols, indexing="ij"), -1)
            plan = tf.tensor_scatter_nd_update(plan, index, sub)
        plans.append(plan)
    return tf.stack(plans)


def balanced_reference(x, t, n_iters, rows, cols):
    """`reference` with the masses of rows `[B, N]` and columns `[B, M]`, some 0."""
    exists = (rows > 0)[:, :, None] & (cols > 0)[:, None]
    z = np.where(exists, x / t[:, None, None], -np.inf)
    log_rows, log_cols = (np.log(np.where(m > 0, m, 1)) for m in (rows, cols))
    for _ in range(n_iters):
        z = z - logsumexp(z, 2) + log_rows[:, :, None]
        z = z - logsumexp(z, 1) + log_cols[:, None]
    return np.exp(z)


def balanced_naive(x, t, rows, cols, n_iters):
    """`balanced_reference` of tensors and positive masses, to differentiate."""
    z = x / t[:, None, None]
    for _ in range(n_iters):
        z += tf.math.log(rows)[:, :, None] - tf.reduce_logsumexp(z, 2, keepdims=True)
        z += tf.math.log(cols)[:, None] - tf.reduce_logsumexp(z, 1, keepdims=True)
    return tf.exp(z)


def random_masks(rng, batch, n, m):
    """Masks of a batch, among them an empty side, both, and one item of each."""
    row_mask, col_mask = rng.random((batch, n)) < 0.7, rng.random((batch, m)) < 0.7
    row_mask[0] = col_mask[1] = row_mask[2] = col_mask[2] = False
    row_mask[3] = np.arange(n) == n // 2
    col_mask[3] = np.arange(m) == 0
    return row_mask, col_mask


def gradients(function, x, t, weights):
    """d sum(weights * plan) with respect to logits and temperature."""
    x, t = tf.constant(x), tf.constant(t)
    with tf.GradientTape() as tape:
        tape.watch([x, t])
        loss = tf.reduce_sum(tf.cast(weights, x.dtype) * function(x, t))
    return [g.numpy() for g in tape.gradient(loss, [x, t])]


def operator(n_iters, mode="plain", **options):
    """`sinkhorn` of logits and temperature, called in a mode."""
    if mode == "plain":
        options["jit_compile"] = False
    function = functools.partial(st.sinkhorn, n_iters=n_iters, **options)
    if mode in ("graph", "xla"):
        return tf.function(function, jit_compile=mode == "xla")
    return function


def assert_relatively_close(actual, expected, rtol):
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=rtol * np.abs(expected).max()
    )
