"""Derivatives of `sinkhorn_solve`."""

import math

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf._sinkhorn.test_solve import (
    TEMPERATURES,
    gradients,
    random_weights,
    solve,
    weighted_sum,
)


@pytest.mark.parametrize("with_forbidden", [False, True])
def test_gradients_equal_central_differences(rng, with_forbidden):
    x = rng.normal(size=(4, 4, 4))
    if with_forbidden:
        x[:, 0, 1] = x[:, 2, 3] = -np.inf
    weights = random_weights(rng, x.shape)
    to_x, to_t = gradients(x, TEMPERATURES, weights, tolerance=1e-13)
    loss = lambda x, t: weighted_sum(solve(x, t, tolerance=1e-13), weights).numpy()
    step = 1e-5
    for i in range(4):
        for j in range(4):
            moved = np.zeros_like(x)
            moved[:, i, j] = step
            slope = loss(x + moved, TEMPERATURES) - loss(x - moved, TEMPERATURES)
            np.testing.assert_allclose(
                to_x[:, i, j], slope / (2 * step), rtol=1e-5, atol=1e-7
            )
    slope = loss(x, TEMPERATURES + step) - loss(x, TEMPERATURES - step)
    np.testing.assert_allclose(to_t, slope / (2 * step), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("margin", [0.5, 5, 20, 60])
def test_gradient_keeps_its_digits_close_to_a_permutation(margin):
    # For N = 2 the plan is sigmoid((x_00 + x_11 - x_01 - x_10) / 2t).
    weights = [np.array([[0.7, 0.2], [-0.4, 0.1]]), np.zeros(2), np.zeros(2)]
    to_x, to_t = gradients(margin * np.eye(2), np.float64(1), weights, tolerance=1e-14)
    slope = (0.7 + 0.1 + 0.4 - 0.2) * math.exp(-margin) / (1 + math.exp(-margin)) ** 2
    sign = np.array([[1, -1], [-1, 1]])
    np.testing.assert_allclose(to_x, slope / 2 * sign, rtol=1e-9)
    np.testing.assert_allclose(to_t, -slope * margin, rtol=1e-9)


@pytest.mark.parametrize(
    "mode",
    [
        "eager",
        pytest.param("graph", marks=pytest.mark.slow),
        pytest.param("xla", marks=pytest.mark.slow),
    ],
)
def test_second_derivatives_equal_differences_of_first(rng, mode):
    x, t = rng.normal(size=(2, 3, 3)), np.array([1, 0.4])
    weights = random_weights(rng, x.shape)
    direction, by_t = rng.normal(size=x.shape), rng.normal(size=2)

    def slope(x, t):
        to_x, to_t = gradients(x, t, weights, tolerance=1e-13)
        return (to_x * direction).sum((1, 2)) + to_t * by_t

    def second(x, t):
        with tf.GradientTape() as outer:
            outer.watch([x, t])
            with tf.GradientTape() as inner:
                inner.watch([x, t])
                solution = st.sinkhorn_solve(x, t, tolerance=1e-13)
                loss = weighted_sum(solution, weights)
            to_x, to_t = inner.gradient(loss, [x, t])
            slope = tf.reduce_sum(to_x * direction, [1, 2]) + to_t * by_t
        return outer.gradient(slope, [x, t])

    if mode != "eager":
        second = tf.function(second, jit_compile=mode == "xla", autograph=False)
    to_x, to_t = second(tf.constant(x), tf.constant(t))
    step, along = 1e-5, rng.normal(size=x.shape)
    expected = slope(x + step * along, t) - slope(x - step * along, t)
    actual = (to_x.numpy() * along).sum((1, 2))
    np.testing.assert_allclose(actual, expected / (2 * step), rtol=1e-5, atol=1e-7)
    expected = slope(x, t + step) - slope(x, t - step)
    np.testing.assert_allclose(to_t, expected / (2 * step), rtol=1e-5, atol=1e-7)
