import functools
import math

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import assert_relatively_close, reference

TEMPERATURES = np.array([1, 0.7, 0.5, 0.3])
FIELDS = ("plan", "row_potential", "col_potential")


def solve(logits, temperature=1.0, **options):
    """The solution in NumPy."""
    solution = st.sinkhorn_solve(logits, temperature, **options)
    return st.SinkhornSolution(*(tensor.numpy() for tensor in solution))


def tight_instance(n):
    """Weed 2018, eq. 8, as scores."""
    return np.eye(n) + np.eye(n, k=1) - 1


def weighted_sum(solution, weights):
    """One number per example that depends on the plan and both potentials."""
    total = tf.reduce_sum(weights[0] * solution.plan, [-2, -1])
    total += tf.reduce_sum(weights[1] * solution.row_potential, -1)
    return total + tf.reduce_sum(weights[2] * solution.col_potential, -1)


def random_weights(rng, shape):
    return [rng.normal(size=s) for s in (shape, shape[:-1], shape[:-1])]


def gradients(x, t, weights, function=st.sinkhorn_solve, **options):
    x, t = tf.constant(x), tf.constant(t)
    with tf.GradientTape() as tape:
        tape.watch([x, t])
        loss = weighted_sum(function(x, t, **options), weights)
    return [g.numpy() for g in tape.gradient(loss, [x, t])]


@pytest.mark.parametrize(
    "n, dtype, atol",
    [(1, np.float64, 0), (2, np.float64, 1e-8), (20, np.float64, 1e-8)]
    + [(20, np.float32, 2e-6)],
)
def test_equals_long_iterations_of_the_reference(rng, n, dtype, atol):
    x = rng.normal(size=(4, n, n)).astype(dtype)
    t = TEMPERATURES.astype(dtype)
    solution = solve(x, t, tolerance=1e-9)
    np.testing.assert_allclose(solution.plan, reference(x, t, 3000), atol=atol)
    assert all(getattr(solution, name).dtype == dtype for name in FIELDS)
    assert solution.n_iters.dtype == np.int32
    assert solution.converged.all() and (solution.residual <= 1e-9).all()


def test_potentials_reproduce_the_plan_and_have_equal_sums(rng):
    x = 7 + rng.normal(size=(4, 6, 6))
    x[:, 0] -= 50
    solution = solve(x, TEMPERATURES)
    rows, cols = solution.row_potential, solution.col_potential
    z = (x - rows[..., None] - cols[..., None, :]) / TEMPERATURES[:, None, None]
    np.testing.assert_allclose(np.exp(z), solution.plan, rtol=1e-10)
    np.testing.assert_allclose(rows.sum(-1), cols.sum(-1), rtol=1e-12)
    residual = np.maximum(
        abs(solution.plan.sum(-1) - 1).max(-1), abs(solution.plan.sum(-2) - 1).max(-1)
    )
    np.testing.assert_allclose(solution.residual, residual, atol=1e-14)


def test_batch_shape_is_that_of_logits_and_temperature(rng):
    x = rng.normal(size=(3, 1, 4, 4))
    t = np.array([1, 0.3])
    solution = solve(x, t)
    assert [part.shape for part in solution] == [(3, 2, 4, 4)] + 2 * [(3, 2, 4)] + (
        3 * [(3, 2)]
    )
    np.testing.assert_allclose(
        solution.plan[2, 1], solve(x[2, 0], t[1]).plan, atol=1e-6
    )
    assert [len(part) for part in solve(np.zeros((0, 3, 3)))] == 6 * [0]


@pytest.mark.parametrize("factor", [1, 4])
def test_theorem_2_instance_takes_few_steps(factor):
    n = 100
    solution = solve(tight_instance(n), 1 / (factor * n * math.log(n)))
    assert solution.converged and solution.residual <= 1e-6
    assert solution.n_iters <= 60


@pytest.mark.parametrize("t", [0.01, 0.001])
def test_converges_at_low_temperature(rng, t):
    x = np.stack([rng.normal(size=(100, 100)), rng.integers(0, 4, (100, 100))])
    solution = solve(x, t, tolerance=1e-8)
    assert solution.converged.all() and (solution.residual <= 1e-8).all()
    assert (solution.n_iters <= 60).all()


def test_says_when_it_ran_out_of_steps(rng):
    solution = solve(rng.normal(size=(20, 20)), 0.01, max_iters=3)
    assert not solution.converged and solution.n_iters == 3
    error = max(abs(solution.plan.sum(axis) - 1).max() for axis in (0, 1))
    np.testing.assert_allclose(solution.residual, error, rtol=1e-12)
    assert error > 1e-6


def hard_examples(rng, dtype=np.float64):
    x = rng.normal(size=(7, 6, 6)).astype(dtype)
    x[1] *= 1e4
    x[2] = 3
    x[3, :4, :3] = -np.inf
    x[4] = np.where(np.tri(6) > 0, x[4], -np.inf)
    x[5, 2] = -np.inf
    x[6, 0, 0] = np.nan
    return x


@functools.cache
def traced(jit_compile):
    """`sinkhorn_solve` in a function of an unknown batch size."""
    signature = [tf.TensorSpec(shape, tf.float64) for shape in ([None, 6, 6], [None])]
    return tf.function(
        st.sinkhorn_solve, input_signature=signature, jit_compile=jit_compile
    )


@pytest.mark.parametrize("jit_compile", [None, True])
def test_an_example_does_not_depend_on_its_neighbours(rng, jit_compile):
    x, hard = rng.normal(size=(7, 6, 6)), hard_examples(rng)
    hard[0] = x[0]
    t = np.full(7, 0.05)
    function = traced(jit_compile)
    for a, b in zip(function(x, t), function(hard, t), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    if jit_compile is None:
        weights = random_weights(rng, x.shape)
        alone, among = (gradients(each, t, weights, function) for each in (x, hard))
        for a, b in zip(alone, among, strict=True):
            np.testing.assert_array_equal(a[0], b[0])


@pytest.mark.parametrize("invalid", [np.nan, np.inf])
def test_an_invalid_value_stays_in_its_example(rng, invalid):
    x = rng.normal(size=(3, 5, 5))
    bad = x.copy()
    bad[1, 2, 3] = invalid
    t = np.full(3, 0.1)
    clean, solution = solve(x, t), solve(bad, t)
    for name in (*FIELDS, "residual"):
        assert np.isnan(getattr(solution, name)[1]).all()
    assert not solution.converged[1] and solution.n_iters[1] == 0
    for before, after in zip(clean, solution, strict=True):
        np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    to_x, to_t = gradients(bad, t, random_weights(rng, x.shape))
    assert (to_x[1] == 0).all() and to_t[1] == 0
    assert (to_x[[0, 2]] != 0).all()


def infeasible_examples(rng):
    x = rng.normal(size=(5, 8, 8))
    x[0, 1] = -np.inf
    x[1, :, 1] = -np.inf
    x[2, :5, :4] = -np.inf
    x[3] = -np.inf
    # Three rows that share two columns.
    x[4, 2:5, 2:] = -np.inf
    return x


@pytest.mark.parametrize("t", [1.0, 0.01])
def test_no_permutation_is_found_out(rng, t):
    x = infeasible_examples(rng)
    solution = solve(x, t)
    assert not solution.converged.any() and (solution.residual >= 1 / 8).all()
    assert (solution.n_iters <= 10).all()
    for name in FIELDS:
        assert np.isfinite(getattr(solution, name)).all()
    assert (solution.plan[x == -np.inf] == 0).all()
    for g in gradients(x, np.full(5, t), random_weights(rng, x.shape)):
        assert np.isfinite(g).all()


@pytest.mark.parametrize("t", [1.0, 0.01])
def test_allowed_pairs_of_no_permutation_go_to_zero(rng, t):
    x = np.where(np.tri(8) > 0, rng.normal(size=(8, 8)), -np.inf)
    solution = solve(x, t)
    assert solution.converged
    np.testing.assert_allclose(solution.plan, np.eye(8), atol=1e-6)
    assert np.isfinite(solution.row_potential).all()


def test_forbidden_pairs_equal_reference(rng):
    x = rng.normal(size=(4, 8, 8))
    x[rng.random(x.shape) < 0.3] = -np.inf
    x[:, np.arange(8), np.arange(8)] = 0
    x[:, np.arange(8), np.arange(8) - 1] = 0
    solution = solve(x, TEMPERATURES, tolerance=1e-10)
    expected = reference(x, TEMPERATURES, 3000)
    np.testing.assert_allclose(solution.plan, expected, atol=1e-9)


@pytest.mark.parametrize("penalty", [1e9, 1e30])
def test_large_penalties_equal_forbidden_pairs(rng, penalty):
    x = rng.normal(size=(4, 8, 8))
    forbidden = rng.random(x.shape) < 0.3
    forbidden[:, np.arange(8), np.arange(8)] = False
    with_inf = solve(np.where(forbidden, -np.inf, x), TEMPERATURES, tolerance=1e-9)
    penalised = solve(np.where(forbidden, -penalty, x), TEMPERATURES, tolerance=1e-9)
    assert with_inf.converged.all() and penalised.converged.all()
    np.testing.assert_allclose(penalised.plan, with_inf.plan, atol=1e-5)


@pytest.mark.parametrize("scale", [1e4, 1e6])
@pytest.mark.parametrize("t", [1.0, 1e-4, 1e-6])
def test_extremes_are_finite(rng, scale, t):
    x = scale * rng.normal(size=(4, 20, 20))
    x[1] = np.round(x[1] / scale) * scale
    x[2, 3] = 5.0
    t = np.full(4, t)
    solution = solve(x, t)
    for name in (*FIELDS, "residual"):
        assert np.isfinite(getattr(solution, name)).all()
    assert (solution.converged == (solution.residual <= 1e-6)).all()
    assert solution.converged[[0, 2, 3]].all()
    for g in gradients(x, t, random_weights(rng, x.shape)):
        assert np.isfinite(g).all()


@pytest.mark.parametrize(
    "jit_compile", [None, pytest.param(True, marks=pytest.mark.slow)]
)
def test_traced_calls_with_unknown_batch_agree_with_eager(rng, jit_compile):
    x, t = hard_examples(rng), np.full(7, 0.05)
    function = traced(jit_compile)
    spec = function.get_concrete_function().structured_outputs
    assert [s.shape.as_list() for s in spec] == [[None, 6, 6]] + 2 * [[None, 6]] + (
        3 * [[None]]
    )
    # Without a permutation and for NaN (3, 5, 6) there is nothing to agree on.
    good = [0, 1, 2, 4]
    for actual, expected in zip(function(x, t), solve(x, t), strict=True):
        np.testing.assert_allclose(actual.numpy()[good], expected[good], atol=1e-6)
    weights = random_weights(rng, x.shape)
    actual, expected = gradients(x, t, weights, function), gradients(x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a[good], e[good], 1e-5)


def test_runs_in_an_exported_model(rng, tmp_path):
    module = tf.Module()
    module.solve = tf.function(
        lambda x: st.sinkhorn_solve(x, 0.1)._asdict(),
        input_signature=[tf.TensorSpec([None, 5, 5])],
    )
    tf.saved_model.save(module, tmp_path)
    x = rng.normal(size=(3, 5, 5)).astype(np.float32)
    actual = tf.saved_model.load(tmp_path).solve(x)
    np.testing.assert_allclose(actual["plan"], solve(x, 0.1).plan, atol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_is_cast_back_once(rng, dtype):
    x = tf.cast(rng.normal(size=(3, 5, 5)), dtype)
    x = tf.concat([x, tf.fill([1, 5, 5], dtype.max)], 0)
    t = tf.constant(0.1)
    half = st.sinkhorn_solve(x, t)
    full = st.sinkhorn_solve(tf.cast(x, tf.float32), t)
    for name in FIELDS:
        expected = tf.saturate_cast(getattr(full, name), dtype)
        np.testing.assert_array_equal(getattr(half, name), expected)
    assert half.converged.numpy().all()


def test_bad_temperature_in_a_graph_makes_examples_invalid(rng):
    x = rng.normal(size=(2, 3, 3))
    solution = tf.function(st.sinkhorn_solve)(x, tf.constant([-1.0, 1], tf.float64))
    assert np.isnan(solution.plan[0]).all() and np.isfinite(solution.plan[1]).all()
    np.testing.assert_array_equal(solution.converged, [False, True])


@pytest.mark.parametrize(
    "error, match, options",
    [
        (ValueError, r"tolerance .* Received: tolerance=0", {"tolerance": 0}),
        (ValueError, r"tolerance .* Received: tolerance=None", {"tolerance": None}),
        (ValueError, r"tolerance .* Received: tolerance=inf", {"tolerance": math.inf}),
        (ValueError, r"max_iters .* Received: max_iters=0", {"max_iters": 0}),
        (TypeError, r"max_iters .* Received: max_iters=2.5", {"max_iters": 2.5}),
        (ValueError, r"temperature .* Received: temp", {"temperature": -1.0}),
        (ValueError, r"jit_compile .* Received: jit", {"jit_compile": "yes"}),
        (
            TypeError,
            r"logits .* Received: logits.dtype=int64",
            {"logits": np.eye(2, dtype=np.int64)},
        ),
    ],
)
def test_bad_arguments_raise(error, match, options):
    with pytest.raises(error, match=match):
        st.sinkhorn_solve(**{"logits": np.eye(2), **options})
