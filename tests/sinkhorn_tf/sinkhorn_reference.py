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
