import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf._sinkhorn import kernel_products
from tests.sinkhorn_tf.sinkhorn_reference import (
    TEMPERATURES,
    assert_relatively_close,
    gradients,
    naive,
    operator,
    reference,
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "n, n_iters",
    [(1, 20), (2, 20), (5, 0), (5, 1), (5, 20), (5, 45), (40, 20), (256, 200)],
)
def test_equals_log_domain_reference(rng, n, n_iters, dtype):
    # Scaled, so that exp(X / t) of zero iterations stays within the range.
    scale = 0.02 if n_iters == 0 else 1
    x = (scale * rng.normal(size=(4, n, n))).astype(dtype)
    plan = operator(n_iters)(x, TEMPERATURES.astype(dtype)).numpy()
    expected = reference(x, TEMPERATURES.astype(dtype), n_iters)
    assert plan.dtype == dtype
    if n_iters == 0:
        np.testing.assert_allclose(plan, expected, 50 * np.finfo(dtype).eps)
    elif dtype == np.float64:
        np.testing.assert_allclose(plan, expected, rtol=1e-9, atol=1e-12)
    else:
        np.testing.assert_allclose(plan[:3], expected[:3], rtol=0, atol=2e-5)
        np.testing.assert_allclose(plan[3], expected[3], rtol=0, atol=2e-4)


@pytest.mark.parametrize("mode", ["eager", "plain", "graph"])
def test_every_mode_equals_reference_at_low_temperature(rng, mode):
    x = rng.normal(size=(4, 40, 40)).astype(np.float32)
    plan = operator(45, mode)(x, tf.constant(TEMPERATURES, tf.float32))
    expected = reference(x, TEMPERATURES.astype(np.float32), 45)
    np.testing.assert_allclose(plan[:3], expected[:3], rtol=0, atol=2e-5)
    np.testing.assert_allclose(plan[3], expected[3], rtol=0, atol=2e-4)


def test_tolerance_stops_each_example_at_its_own_iteration(rng):
    x = rng.normal(size=(4, 5, 5))
    t = np.array([1, 0.3, 0.1, 0.05])
    tolerance = 1e-3
    taken = []
    for b in range(4):
        residual = lambda n, b=b: (
            np.abs(reference(x[b], t[b], n).sum(-1) - 1).max() > tolerance
        )
        taken.append(next((n for n in range(1, 45) if not residual(n)), 45))
    assert len(set(taken)) > 2 and max(taken) == 45
    weights = rng.normal(size=(4, 5, 5))
    function = operator(45, tolerance=tolerance)
    plan = function(x, t)
    actual = gradients(function, x, t, weights)
    for b, n in enumerate(taken):
        np.testing.assert_allclose(plan[b], reference(x[b], t[b], n), atol=1e-11)
        each = (x[b : b + 1], t[b : b + 1], weights[b : b + 1])
        expected = gradients(lambda x, t, n=n: naive(x, t, n), *each)
        assert_relatively_close(actual[0][b], expected[0][0], 1e-9)
        assert_relatively_close(actual[1][b], expected[1][0], 1e-9)


def test_tolerance_holds_over_a_batch_of_converged_examples(rng):
    x = rng.normal(size=(4, 5, 5))
    plan = operator(1000, tolerance=1e-4)(x, np.array([1, 0.7, 0.5, 0.3])).numpy()
    assert np.abs(plan.sum(-1) - 1).max() <= 1e-4
    np.testing.assert_allclose(plan.sum(-2), 1, atol=1e-6)


def extremes(rng):
    x = rng.normal(size=(8, 5, 5)).astype(np.float32)
    x[0] *= 1e4
    x[1] = 3.0
    x[2, 2] = 7.0
    x[3][rng.random((5, 5)) < 0.3] = -np.inf
    x[3][np.arange(5), np.arange(5)] = 0
    x[4, 1] = -np.inf
    x[5, :, 1] = -np.inf
    x[6, :3, :3] = -np.inf
    x[7] = -np.inf
    return x


@pytest.mark.parametrize("t", [1.0, 0.001])
@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_extremes_give_finite_plans_and_gradients(rng, gradient, t):
    x = extremes(rng)
    function = operator(25, gradient=gradient)
    t = np.full(8, t, np.float32)
    plan = function(x, t).numpy()
    assert np.isfinite(plan).all()
    assert (plan[x == -np.inf] == 0).all()
    dead = np.zeros((8, 5), bool)
    dead[5, 1] = dead[7] = True
    np.testing.assert_allclose(plan.sum(-2), np.where(dead, 0, 1), atol=1e-5)
    to_x, to_t = gradients(function, x, t, rng.normal(size=x.shape))
    assert np.isfinite(to_x).all() and np.isfinite(to_t).all()
    assert (to_x[x == -np.inf] == 0).all()


def test_forbidden_pairs_equal_reference(rng):
    x = extremes(rng).astype(np.float64)
    t = np.full(8, 0.5)
    expected = reference(x[1:], t[1:], 20)
    np.testing.assert_allclose(operator(20)(x, t)[1:], expected, atol=1e-12)


@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_gradients_with_forbidden_pairs_equal_those_of_large_penalties(rng, gradient):
    x = rng.normal(size=(4, 5, 5))
    forbidden = rng.random(x.shape) < 0.2
    forbidden[:, np.arange(5), np.arange(5)] = False
    t = np.array([1, 0.5, 0.3, 0.2])
    weights = rng.normal(size=x.shape)
    function = operator(20, gradient=gradient)
    with_inf = gradients(function, np.where(forbidden, -np.inf, x), t, weights)
    penalised = gradients(function, np.where(forbidden, -1e3, x), t, weights)
    for a, e in zip(with_inf, penalised, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("mode", ["eager", "plain"])
@pytest.mark.parametrize("invalid", [np.nan, np.inf, "hard"])
def test_an_invalid_value_stays_in_its_example(rng, invalid, mode):
    clean = rng.normal(size=(3, 5, 5)).astype(np.float32)
    bad = clean.copy()
    if invalid == "hard":
        # Only this one leaves the kernel domain.
        bad[1] = 1e4 * rng.normal(size=(5, 5))
    else:
        bad[1, 2, 3] = invalid
    t = np.full(3, 0.05, np.float32)
    weights = rng.normal(size=(3, 5, 5))
    function = operator(3, mode)
    before, after = function(clean, t).numpy(), function(bad, t).numpy()
    gradient_before = gradients(function, clean, t, weights)
    gradient_after = gradients(function, bad, t, weights)
    for b in (0, 2):
        np.testing.assert_array_equal(after[b], before[b])
        np.testing.assert_array_equal(gradient_after[0][b], gradient_before[0][b])
        np.testing.assert_array_equal(gradient_after[1][b], gradient_before[1][b])
    if invalid != "hard":
        assert np.isnan(after[1]).all()
        assert (gradient_after[0][1] == 0).all() and gradient_after[1][1] == 0


def test_an_invalid_example_leaves_a_shared_temperature_gradient_finite(rng):
    x = rng.normal(size=(3, 5, 5)).astype(np.float32)
    x[1, 0, 0] = np.nan
    function = lambda x, t: st.sinkhorn(x, t, 3, jit_compile=False) ** 2
    _, to_t = gradients(function, x, np.float32(0.5), np.ones_like(x))
    assert np.isfinite(to_t)


EYE = np.eye(3, dtype=np.float32)


def test_trace_inlines_plain_ops():
    graph = tf.function(st.sinkhorn).get_concrete_function(EYE).graph.as_graph_def()
    functions = graph.library.function
    assert not any(f.attr["_XlaMustCompile"].b for f in functions)


def test_a_new_temperature_does_not_retrace(rng, monkeypatch):
    from sinkhorn_tf._sinkhorn import iterations

    calls = []
    iterate = iterations.iterate
    monkeypatch.setattr(
        iterations,
        "iterate",
        lambda *args, **options: calls.append(None) or iterate(*args, **options),
    )
    x = rng.normal(size=(2, 3, 3))
    for t in (0.5, 0.4, 0.3):
        st.sinkhorn(x, t, 2)
    assert len(calls) == 1


def test_equivariant_to_permuting_rows_and_columns(rng):
    x = rng.normal(size=(4, 5, 5))
    rows, cols = rng.permutation(5), rng.permutation(5)
    scrambled = operator(20)(x[:, rows][:, :, cols], TEMPERATURES)
    expected = operator(20)(x, TEMPERATURES).numpy()[:, rows][:, :, cols]
    np.testing.assert_allclose(scrambled, expected, atol=1e-10)


def test_invariant_to_shifts_of_rows(rng):
    x = rng.normal(size=(4, 5, 5))
    shifted = operator(20)(x + rng.normal(size=(4, 5, 1)), TEMPERATURES)
    np.testing.assert_allclose(shifted, operator(20)(x, TEMPERATURES), atol=1e-9)


def test_limit_is_invariant_to_shifts_of_columns(rng):
    x = rng.normal(size=(3, 5, 5))
    t = np.array([1, 0.5, 0.3])
    shifted = operator(400)(x + rng.normal(size=(3, 1, 5)), t)
    np.testing.assert_allclose(shifted, operator(400)(x, t), atol=1e-10)


def test_columns_sum_to_one_and_rows_in_the_limit(rng):
    x = rng.normal(size=(3, 5, 5))
    plan = operator(400)(x, np.array([1, 0.5, 0.3])).numpy()
    np.testing.assert_allclose(plan.sum(-2), 1, atol=1e-12)
    np.testing.assert_allclose(plan.sum(-1), 1, atol=1e-10)


@pytest.mark.parametrize("n", [5, 40])
def test_low_temperature_finds_the_planted_permutation(rng, n):
    perm = np.array([rng.permutation(n) for _ in range(4)])
    planted = np.eye(n)[perm]
    x = planted + rng.uniform(0, 0.5, size=planted.shape)
    x += rng.normal(size=(4, n, 1))
    plan = operator(20)(x.astype(np.float32), np.full(4, 1e-3, np.float32))
    np.testing.assert_allclose(plan, planted, atol=1e-6)


def test_both_ways_to_sum_give_the_same(rng, monkeypatch):
    x = tf.constant(rng.normal(size=(3, 30, 30)).astype(np.float32))

    def plan_and_gradient(elementwise):
        monkeypatch.setattr(kernel_products, "is_small", lambda kernel: elementwise)

        @tf.function
        def both(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                plan = st.sinkhorn(x, 0.3, 25)
                loss = tf.reduce_sum(plan**2)
            return plan, tape.gradient(loss, x)

        return both(x)

    for a, b in zip(plan_and_gradient(True), plan_and_gradient(False), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_what_overflows_in_the_division_is_not_forbidden():
    x = np.float32([[[3e38, -3e38], [3e38, -3e38]], [[0, -10], [0, -20]]])
    plan = st.sinkhorn(x, np.float32([1, 2e-38]), 20).numpy()
    assert np.isfinite(plan).all()
    np.testing.assert_allclose(plan.sum(axis=1), 1, rtol=1e-5)
