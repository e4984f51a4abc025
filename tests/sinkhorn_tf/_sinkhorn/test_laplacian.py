"""The systems of Newton's steps."""

import numpy as np
import pytest
import tensorflow as tf

from sinkhorn_tf._sinkhorn.laplacian import solve_laplacian


def test_halves_that_were_rounded_differently_change_no_digit_that_counts():
    # Three pairs of strong weights, and weak ones from pair to pair.
    weights = np.zeros((6, 6))
    for first, second, weight in [
        (0, 1, 1.0),
        (2, 3, 0.7),
        (4, 5, 0.9),
        (1, 2, 1e-9),
        (3, 4, 2e-9),
    ]:
        weights[first, second] = weights[second, first] = weight
    exact = np.array([0.0, 0.0, 1.0, 1.0, 1.5, 1.5])
    # 1e-9 flows from each pair to the next one, nothing within a pair.
    right = 1e-9 * np.array([0.0, -1.0, 1.0, -1.0, 1.0, 0.0])
    rounded = np.triu(weights) * (1 + 1e-7) + np.tril(weights)
    for matrix in (weights, rounded, rounded.T):
        y = solve_laplacian(matrix[None], right[None, :, None]).numpy()[0, :, 0]
        np.testing.assert_allclose(y - y[0], exact, atol=1e-3)


@pytest.mark.parametrize("n", [1, 2, 9, 25])
def test_elimination_under_xla_solves_what_cholesky_does(rng, n):
    weights = rng.uniform(size=(2, n, n)) ** 8
    weights += weights.transpose(0, 2, 1)
    # Far below 1.
    weights[1] *= 1e-9
    right = rng.normal(size=(2, n, 2)) * weights.max((1, 2), keepdims=True)
    right -= right.mean(1, keepdims=True)
    compiled = tf.function(solve_laplacian, jit_compile=True)
    expected = solve_laplacian(weights, right).numpy()
    size = np.abs(expected).max()
    np.testing.assert_allclose(compiled(weights, right), expected, atol=1e-9 * size)


def test_elimination_of_a_graph_in_two_parts():
    weights = np.kron(np.eye(2), 1 - np.eye(2))[None]
    right = np.array([1.0, -1, 3, -3])[None, :, None]
    y = tf.function(solve_laplacian, jit_compile=True)(weights, right).numpy()[0, :, 0]
    np.testing.assert_allclose(y[::2] - y[1::2], [1, 3], rtol=1e-6)
