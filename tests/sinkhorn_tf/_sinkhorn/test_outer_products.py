"""Outer products that wait for each other, and the gradients of large matrices."""

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf._sinkhorn import kernel_products, outer_products


@pytest.fixture
def groups(rng):
    """12 groups of pairs, of which the last is smaller than the others."""
    return [
        (
            [tf.constant(rng.normal(size=(2, 5, 1))) for _ in range(count)],
            [tf.constant(rng.normal(size=(2, 1, 7))) for _ in range(count)],
        )
        for count in (*[10] * 11, 3)
    ]


def kernel_and_total(rng):
    return [tf.constant(rng.normal(size=(2, 5, 7))) for _ in range(2)]


def expected(kernel, total, groups, example):
    """The total less the products with all groups, in NumPy."""
    pairs = [pair for us, vs in groups for pair in zip(us, vs, strict=True)]
    products = sum(u[example].numpy() * v[example].numpy() for u, v in pairs)
    return total[example].numpy() - kernel[example].numpy() * products


def test_no_pair_is_lost_where_there_are_more_than_places(rng, groups):
    kernel, start = kernel_and_total(rng)
    waiting, total = outer_products.none_waiting(kernel, 10, len(groups)), start
    assert waiting.rows.shape[0] < len(groups)
    for us, vs in groups:
        total, waiting = outer_products.add(waiting, us, vs, kernel, total)
    total, _ = outer_products.subtract(waiting, kernel, total, tf.constant([True] * 2))
    for example in range(2):
        np.testing.assert_allclose(
            total[example], expected(kernel, start, groups, example), atol=1e-12
        )


def test_an_example_whose_kernel_changes_leaves_the_other_alone(rng, groups):
    kernel, start = kernel_and_total(rng)

    def run(changes):
        waiting, total = outer_products.none_waiting(kernel, 10, 3), start
        total, waiting = outer_products.add(waiting, *groups[0], kernel, total)
        total, waiting = outer_products.subtract(
            waiting, kernel, total, tf.constant([changes, False])
        )
        other = tf.concat([2 * kernel[:1], kernel[1:]], 0) if changes else kernel
        total, waiting = outer_products.add(waiting, *groups[1], other, total)
        return outer_products.subtract(waiting, other, total, tf.constant([True] * 2))

    (changed, _), (alone, _) = run(True), run(False)
    np.testing.assert_array_equal(changed[1], alone[1])
    first = expected(kernel, start, groups[:1], 0)
    second = expected(2 * kernel, tf.constant(first)[None], groups[1:2], 0)
    np.testing.assert_allclose(changed[0], second, atol=1e-12)


def gradient(function, x, t, weights):
    x, t = tf.constant(x), tf.constant(t, x.dtype)
    with tf.GradientTape() as tape:
        tape.watch([x, t])
        loss = tf.reduce_sum(function(x, t) * weights)
    return [each.numpy() for each in tape.gradient(loss, [x, t])]


def log_domain_loop(n_iters):
    """The operator as its equation stands."""

    def plan(x, t):
        z = x / t
        for _ in range(n_iters):
            z -= tf.reduce_logsumexp(z, 2, keepdims=True)
            z -= tf.reduce_logsumexp(z, 1, keepdims=True)
        return tf.exp(z)

    return plan


@pytest.mark.parametrize(
    "t, n_iters, dtype, jit_compile, tolerance",
    [
        (1.0, 20, "f4", False, 1e-5),
        # The base changes.
        (0.004, 40, "f8", False, 1e-10),
        (0.004, 40, "f8", True, 1e-10),
        # There are more groups than places.
        (0.05, 50, "f4", False, 1e-4),
    ],
)
def test_gradients_of_large_matrices(rng, t, n_iters, dtype, jit_compile, tolerance):
    x, weights = rng.normal(size=(2, 2, 512, 512))

    def ours(x, t):
        return st.sinkhorn(x, t, n_iters, jit_compile=jit_compile)

    expected = gradient(log_domain_loop(n_iters), x, t, weights)
    actual = gradient(ours, x.astype(dtype), t, weights.astype(dtype))
    for value, true in zip(actual, expected, strict=True):
        scale = np.abs(true).max()
        np.testing.assert_allclose(value / scale, true / scale, atol=tolerance)


def test_gradients_of_a_large_matrix_do_not_depend_on_the_batch(rng):
    x, weights = rng.normal(size=(2, 2, 512, 512)).astype("f4")
    x[1] *= 50

    def ours(x, t):
        return st.sinkhorn(x, t, 30)

    both, _ = gradient(ours, x, 0.1, weights)
    for example in (slice(0, 1), slice(1, 2)):
        alone, _ = gradient(ours, x[example], 0.1, weights[example])
        if kernel_products.has_gpu():
            # It adds in another order for another batch.
            np.testing.assert_allclose(both[example], alone, atol=1e-5)
        else:
            np.testing.assert_array_equal(both[example], alone)


def test_large_matrices_with_nan_and_forbidden_pairs(rng):
    x, weights = rng.normal(size=(2, 2, 512, 512)).astype("f4")
    x[0, 3, 4] = np.nan
    x[1, 5, 6] = -np.inf

    def ours(x, t):
        return st.sinkhorn(x, t, 20)

    with np.errstate(invalid="ignore"):
        plan = ours(x, 0.1).numpy()
        of_x, _ = gradient(ours, x, 0.1, weights)
    assert np.isnan(plan[0]).all()
    assert plan[1, 5, 6] == 0
    np.testing.assert_array_equal(of_x[0], 0)
    assert np.isfinite(of_x[1]).all()
    assert of_x[1, 5, 6] == 0
