"""The systems of Newton's steps."""

import numpy as np

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
