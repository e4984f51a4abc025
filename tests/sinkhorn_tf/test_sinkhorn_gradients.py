import numpy as np
import pytest
from sinkhorn_reference import assert_relatively_close, gradients, naive, operator


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 5e-4), (np.float64, 1e-10)])
@pytest.mark.parametrize("n_iters", [0, 1, 20, 45])
def test_unrolled_gradients_equal_naive_autodiff(rng, n_iters, dtype, rtol):
    x = rng.normal(size=(4, 5, 5)).astype(dtype)
    t = np.array([1, 0.3, 0.1, 0.05], dtype)
    weights = rng.normal(size=(4, 5, 5))
    actual = gradients(operator(n_iters), x, t, weights)
    expected = gradients(
        lambda x, t: naive(x, t, n_iters),
        x.astype(np.float64),
        t.astype(np.float64),
        weights,
    )
    for b in range(4):
        assert_relatively_close(actual[0][b], expected[0][b], rtol)
        assert_relatively_close(actual[1][b], expected[1][b], rtol)


def test_unrolled_gradients_equal_central_differences(rng):
    x = rng.normal(size=(4, 5, 5))
    t = np.array([1, 0.3, 0.1, 0.05])
    weights = rng.normal(size=(4, 5, 5))
    to_x, to_t = gradients(operator(20), x, t, weights)
    loss = lambda x, t: (weights * operator(20)(x, t)).numpy().sum((1, 2))
    step = 1e-6
    for i in range(5):
        for j in range(5):
            moved = np.zeros_like(x)
            moved[:, i, j] = step
            slope = (loss(x + moved, t) - loss(x - moved, t)) / (2 * step)
            np.testing.assert_allclose(to_x[:, i, j], slope, rtol=1e-5, atol=1e-7)
    step *= t
    slope = (loss(x, t + step) - loss(x, t - step)) / (2 * step)
    np.testing.assert_allclose(to_t, slope, rtol=1e-5, atol=1e-7)


def test_gradients_through_absorbed_bases_equal_naive_autodiff(rng):
    x = rng.normal(size=(4, 5, 5))
    # Rows that want the same column: the scalings outgrow their base.
    x[:, :, 0] += 3
    t = np.full(4, 0.003)
    weights = rng.normal(size=(4, 5, 5))
    actual = gradients(operator(45), x, t, weights)
    expected = gradients(lambda x, t: naive(x, t, 45), x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 1e-8)


@pytest.mark.parametrize(
    "mode, gradient",
    [("eager", "unrolled"), ("graph", "unrolled"), ("xla", "implicit")],
)
def test_gradients_agree_in_every_mode(rng, mode, gradient):
    x = rng.normal(size=(3, 4, 4)).astype(np.float32)
    t = np.array([1, 0.5, 0.2], np.float32)
    weights = rng.normal(size=(3, 4, 4))
    expected = gradients(operator(3, gradient=gradient), x, t, weights)
    actual = gradients(operator(3, mode, gradient=gradient), x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"tolerance": 1e-3}])
def test_gradients_of_many_blocks_agree_under_xla(rng, options):
    x = rng.normal(size=(3, 4, 4))
    t = np.array([1, 0.1, 0.002])
    weights = rng.normal(size=(3, 4, 4))
    expected = gradients(operator(65, **options), x, t, weights)
    actual = gradients(operator(65, "xla", **options), x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 1e-8)


def test_implicit_gradient_equals_long_unrolled_at_convergence(rng):
    x = rng.normal(size=(3, 5, 5))
    t = np.array([1, 0.5, 0.3])
    weights = rng.normal(size=(3, 5, 5))
    implicit = gradients(operator(400, gradient="implicit"), x, t, weights)
    unrolled = gradients(operator(400), x, t, weights)
    for i, u in zip(implicit, unrolled, strict=True):
        assert_relatively_close(i, u, 1e-8)


def test_implicit_gradient_is_finite_for_permutations_and_forbidden_pairs(rng):
    x = rng.normal(size=(4, 4, 4)).astype(np.float32)
    x[0] = 100 * np.eye(4)
    x[1, :, 2] = -np.inf
    x[2, 1] = -np.inf
    x[3, 0, 1:] = x[3, 1, 1:] = -np.inf
    function = operator(20, gradient="implicit")
    weights = rng.normal(size=x.shape)
    for g in gradients(function, x, np.full(4, 0.1, np.float32), weights):
        assert np.isfinite(g).all()
