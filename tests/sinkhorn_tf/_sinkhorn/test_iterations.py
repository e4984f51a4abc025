"""The scalings of the iterations, and their bases."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

import sinkhorn_tf as st
from sinkhorn_tf._sinkhorn import iterations
from sinkhorn_tf._sinkhorn.marginals import Sides


def iterate(x, t, n_iters):
    z = x / t
    z -= z.max(axis=2, keepdims=True)
    plan, trajectory = iterations.iterate(
        tf.constant(z, tf.float32), Sides(None, None), n_iters
    )
    b = np.zeros_like(z[:, :1])
    for _ in range(n_iters):
        a = -logsumexp(z + b, axis=2, keepdims=True)
        b = -logsumexp(z + a, axis=1, keepdims=True)
    return plan.numpy(), np.exp(z + a + b), trajectory


@pytest.mark.parametrize("n, t", [(30, 0.05), (100, 0.05), (100, 0.01)])
def test_few_iterations_keep_their_base(rng, n, t):
    plan, expected, trajectory = iterate(rng.normal(size=(4, n, n)), t, 20)
    assert not trajectory.loop.absorbed.numpy().any()
    np.testing.assert_allclose(plan, expected, atol=2e-5)


@pytest.mark.parametrize("t", [1e-2, 1e-3])
def test_many_iterations_at_low_temperatures_change_it(rng, t):
    plan, expected, trajectory = iterate(rng.normal(size=(4, 40, 40)), t, 150)
    assert trajectory.loop.absorbed.numpy().any()
    np.testing.assert_allclose(plan, expected, atol=2e-4)


def test_scalings_stay_below_what_the_format_holds(rng):
    # Far apart in opposite directions: the scalings grow by the same factor in each step.
    x = np.array([[[0.0, 1, -9], [-1, 0, 1], [-9, -1, 0]]])
    plan, expected, _ = iterate(np.repeat(x, 2, 0), 0.003, 300)
    np.testing.assert_allclose(plan, expected, atol=2e-4)


def test_an_example_of_nan_is_alone(rng):
    x = rng.normal(size=(3, 30, 30))
    alone, *_ = iterate(x[2:], 0.02, 40)
    x[0, 3, 4] = np.nan
    with np.errstate(invalid="ignore"):
        plan, *_ = iterate(x, 0.02, 40)
    assert np.isnan(plan[0]).all()
    np.testing.assert_array_equal(plan[2], alone[0])


def test_squares_of_small_scalings_keep_their_gradients(rng):
    """No permutation exists: the scalings of the rows fall until the base changes."""
    n, rows, cols = 1000, 20, 272
    x = np.full((n, n), -np.inf)
    x[: n - rows, : n - cols] = 0
    x[n - rows :, n - cols :] = 0.3 * rng.normal(size=(rows, cols))
    weights = rng.normal(size=(n, n))

    def gradient(dtype):
        logits = tf.constant(x, dtype)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            plan = st.sinkhorn(logits, 1.0, 16, jit_compile=False)
            loss = tf.reduce_sum(plan * tf.constant(weights, dtype))
        return tape.gradient(loss, logits).numpy()

    expected = gradient("float64")
    np.testing.assert_allclose(
        gradient("float32"), expected, atol=1e-6 * np.abs(expected).max()
    )
