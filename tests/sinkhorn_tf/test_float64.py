"""Numbers of Python keep all their digits where an operator computes in float64."""

import fractions

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

import sinkhorn_tf as st
from sinkhorn_tf._core import arguments
from sinkhorn_tf._sinkhorn.solve import solve_near
from sinkhorn_tf.distributions._gumbel_sinkhorn import gumbel_noise
from sinkhorn_tf.sorting import optimal_transport

# A tenth, as float64 has it.
TENTH = np.float64(0.1)
FORMS = [0.1, TENTH, np.array(0.1), [0.1, 0.1], (0.1, TENTH), np.array([[0.1], [0.1]])]
FORMS += [fractions.Fraction(1, 10), np.longdouble(TENTH), tf.constant(0.1, tf.float64)]
FORMS += [[tf.constant(0.1, tf.float64), 0.1]]
every_form = pytest.mark.parametrize("tenth", FORMS, ids=lambda x: type(x).__name__)


def reference(x, n_iters):
    for _ in range(n_iters):
        x = x - logsumexp(x, -1, keepdims=True)
        x = x - logsumexp(x, -2, keepdims=True)
    return np.exp(x)


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 4, 4))


@every_form
def test_sinkhorn(x, tenth):
    plan = st.sinkhorn(x, tenth, 5, jit_compile=False)
    expected = np.broadcast_to(reference(x / 0.1, 5), plan.shape)
    np.testing.assert_allclose(plan, expected, rtol=0, atol=1e-14)


def test_sinkhorn_compiled_and_in_a_trace(x):
    expected = reference(x / 0.1, 5)
    np.testing.assert_allclose(st.sinkhorn(x, 0.1, 5), expected, rtol=0, atol=1e-14)
    traced = tf.function(lambda x: st.sinkhorn(x, 0.1, 0), autograph=False)
    np.testing.assert_allclose(traced(x), np.exp(x / 0.1), rtol=1e-13)


@every_form
def test_numbers_that_float32_lacks_arrive_as_they_are(tenth):
    for convert in (arguments.to_positive, arguments.to_non_negative):
        assert np.all(convert(tenth, "temperature", tf.float64).numpy() == TENTH)
        with tf.Graph().as_default():
            known = tf.get_static_value(convert(0.1, "temperature", tf.float64))
        assert known == TENTH


@pytest.mark.parametrize("large", [2**24 + 1, np.int64(2**24 + 1), [2**24 + 1]])
def test_integers_that_float32_lacks_arrive_as_they_are(large):
    tensor = arguments.to_positive(large, "temperature", tf.float64)
    assert np.all(tensor.numpy() == 2**24 + 1)
    rows = [[2**24 + 1, 2**24], [2**24, 2**24]]
    certified = st.certified_matching(rows, jit_compile=False)
    assert certified.perm.numpy().tolist() == [0, 1]
    assert certified.value == 2**25 + 1
    rows = [[2**53 - 1, 2**53 - 2], [0, 0]]
    assert st.matching(rows, jit_compile=False).numpy().tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sinkhorn_solve_computes_at_the_temperature_itself(x, dtype):
    x = x.astype(dtype)
    solution = st.sinkhorn_solve(x, 0.1, tolerance=1e-13)
    expected = st.sinkhorn_solve(x.astype(np.float64), TENTH, tolerance=1e-13)
    np.testing.assert_array_equal(solution.residual, expected.residual)
    np.testing.assert_array_equal(solution.plan, expected.plan.numpy().astype(dtype))
    plan = np.exp(
        (x - expected.row_potential[:, :, None] - expected.col_potential[:, None]) / 0.1
    )
    np.testing.assert_allclose(expected.plan, plan, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.1, TENTH, [0.1, 0.1], np.array([0.1, 0.1])])
def test_noise_scale(x, scale):
    _, noisy = st.gumbel_sinkhorn(x, 1.0, 3, scale, 1, seed=7, jit_compile=False)
    noise = gumbel_noise((2, 3, 4, 4), 7, tf.float64).numpy()
    np.testing.assert_allclose(noisy, x[:, None] + 0.1 * noise, rtol=0, atol=1e-15)


def test_soft_sort_and_rank_have_anchors_of_float64():
    n = 7
    values = np.linspace(0, 1, n) ** 2
    anchors = tf.constant(np.arange(n) / (n - 1))
    scores = tf.constant(2 * n * values)
    # The same start, since a solution has the digits that its tolerance asks for.
    start = -optimal_transport._duals_of_sorted(scores, anchors)
    t = tf.constant(TENTH, tf.float64)
    plan = solve_near(scores[:, None] * anchors, start, t).plan.numpy()
    limit = st.sinkhorn_solve(scores[:, None] * anchors, TENTH).plan
    np.testing.assert_allclose(plan, limit, rtol=0, atol=2e-6)
    for temperature in (0.1, TENTH):
        ranks = st.soft_rank(values, temperature)
        np.testing.assert_allclose(ranks, plan @ np.arange(n), rtol=0, atol=1e-9)
        result = st.soft_sort(values, temperature)
        np.testing.assert_allclose(result, plan.T @ values, rtol=0, atol=1e-9)


def test_lists_of_logits_are_float32_in_eager_and_graph():
    rows = [[0.1, 0.2], [0.3, 0.4]]
    assert st.sinkhorn(rows, jit_compile=False).dtype == tf.float32
    # Lists of what NumPy made have its dtype.
    for typed in ([np.array(row) for row in rows], [[*np.array(row)] for row in rows]):
        call = lambda typed=typed: st.sinkhorn(typed, 0.1, 3, jit_compile=False)
        for plan in (call(), tf.function(call, autograph=False)()):
            assert plan.dtype == tf.float64
            np.testing.assert_allclose(
                plan, reference(np.array(rows) / 0.1, 3), rtol=0, atol=1e-14
            )


def test_layers_of_float64_compute_at_the_temperature_of_the_call(x):
    for layer in (
        st.SinkhornLayer(n_iters=5, dtype="float64"),
        st.GumbelSinkhorn(n_iters=5, seed=3, dtype="float64"),
    ):
        expected = reference(x / 0.3, 5)
        plan = layer(x, temperature=0.3)
        np.testing.assert_allclose(plan, expected, rtol=0, atol=1e-14)
