"""`sinkhorn` and `sinkhorn_solve` with masses of rows and columns."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import (
    assert_relatively_close,
    balanced_naive,
    balanced_reference,
    operator,
)


@pytest.fixture
def problem(rng):
    """Logits, temperatures, and masses of equal totals, one of them 0."""
    x, t = rng.normal(size=(3, 5, 7)), np.array([1, 0.3, 0.1])
    rows, cols = rng.random((3, 5)) ** 3, rng.random((3, 7)) ** 2
    rows[1, 2] = cols[2, 0] = 0
    cols *= (rows.sum(1) / cols.sum(1))[:, None]
    return x, t, rows, cols


def derivatives(function, *arguments):
    """The function's value, and its gradients by float64 arguments."""
    tensors = [tf.constant(each) for each in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return [g.numpy() for g in tape.gradient(value, tensors)]


def differences(function, arguments, which, step=1e-6):
    """Central differences by one of the arguments, 0 where that is 0."""
    result = np.zeros_like(arguments[which])
    for index in zip(*np.nonzero(arguments[which]), strict=True):
        values = []
        for sign in (1, -1):
            moved = [each.copy() for each in arguments]
            moved[which][index] += sign * step
            values.append(float(function(*moved)))
        result[index] = (values[0] - values[1]) / (2 * step)
    return result


@pytest.mark.parametrize("n_iters", [0, 1, 3, 40])
def test_equals_log_domain_reference(problem, n_iters):
    x, t, rows, cols = problem
    masses = {"row_marginals": rows, "col_marginals": cols}
    plan = operator(n_iters, **masses)(x, t)
    expected = balanced_reference(x, t, n_iters, rows, cols)
    np.testing.assert_allclose(plan, expected, rtol=1e-9, atol=1e-12)
    if n_iters:
        np.testing.assert_allclose(tf.reduce_sum(plan, 1), cols, atol=1e-12)
    single = operator(n_iters, "graph", **masses)(x.astype("f"), t.astype("f"))
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_masses_of_any_size(rng, scale):
    x = rng.normal(size=(6, 8)).astype(np.float32)
    rows = scale * 10 ** rng.uniform(-4, 0, 6)
    plan = st.sinkhorn(x, 0.05, 100, row_marginals=rows)
    expected = balanced_reference(
        x[None], np.array([0.05]), 100, rows[None], np.full((1, 8), rows.sum() / 8)
    )
    np.testing.assert_allclose(plan, expected[0], atol=1e-5 * rows.sum())


def test_one_side_alone_makes_the_other_uniform_over_what_exists(problem):
    x, t, rows, cols = problem
    mask = np.array([True, True, False, True, True, True, False])
    poisoned = np.where(mask, x, np.nan)
    plan = st.sinkhorn(poisoned, t, row_marginals=rows, col_mask=mask)
    uniform = mask * rows.sum(1, keepdims=True) / mask.sum()
    expected = balanced_reference(x, t, 20, rows, uniform)
    np.testing.assert_allclose(plan, expected, atol=1e-12)
    poison = np.where(mask, cols, np.nan)
    plan = st.sinkhorn(x, t, col_marginals=poison, col_mask=mask)
    uniform = np.ones((3, 5)) * (cols * mask).sum(1, keepdims=True) / 5
    expected = balanced_reference(x, t, 20, uniform, cols * mask)
    np.testing.assert_allclose(plan, expected, atol=1e-12)


def test_a_factor_of_the_row_masses_changes_nothing(problem):
    x, t, rows, cols = problem
    plan = st.sinkhorn(x, t, row_marginals=rows, col_marginals=cols)
    again = st.sinkhorn(x, t, row_marginals=1.0009 * rows, col_marginals=cols)
    np.testing.assert_allclose(again, plan, atol=1e-14)
    solution = st.sinkhorn_solve(
        x, t, row_marginals=1.0009 * rows, col_marginals=cols, tolerance=1e-10
    )
    assert solution.converged.numpy().all()


def test_ones_are_the_square_problem(rng):
    x = rng.normal(size=(2, 4, 4))
    plan = st.sinkhorn(x, 0.4, row_marginals=np.ones(4))
    np.testing.assert_allclose(plan, st.sinkhorn(x, 0.4), atol=1e-15)


@pytest.mark.parametrize("n, m, n_iters", [(5, 7, 1), (5, 7, 60), (30, 3, 6)])
def test_gradients_equal_naive_autodiff(rng, n, m, n_iters):
    x, t = rng.normal(size=(3, n, m)), np.array([1, 0.3, 0.1])
    rows, cols = rng.random((3, n)) + 0.1, rng.random((3, m)) + 0.1
    cols *= (rows.sum(1) / cols.sum(1))[:, None]
    weights = rng.normal(size=x.shape)

    def loss(x, t, rows, cols):
        plan = operator(n_iters, row_marginals=rows, col_marginals=cols)(x, t)
        return tf.reduce_sum(weights * plan)

    def naive(*arguments):
        return tf.reduce_sum(weights * balanced_naive(*arguments, n_iters))

    actual = derivatives(loss, x, t, rows, cols)
    expected = derivatives(naive, x, t, rows, cols)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 1e-9)


@pytest.mark.parametrize("solver", ["implicit", "solve"])
def test_gradients_of_the_limit_equal_central_differences(rng, problem, solver):
    x, t, rows, cols = (each[:2] for each in problem)
    # Differences are coarse where masses are small.
    t, rows, cols = t + 0.3, rows + 0.1 * (rows > 0), cols + 0.1 * (cols > 0)
    cols *= (rows.sum(1) / cols.sum(1))[:, None]
    weights, row_weights = rng.normal(size=x.shape), rng.normal(size=rows.shape)

    def loss(x, t, rows, cols):
        masses = {"row_marginals": rows, "col_marginals": cols}
        if solver == "implicit":
            plan = operator(400, gradient="implicit", **masses)(x, t)
            return tf.reduce_sum(weights * plan)
        solution = st.sinkhorn_solve(x, t, tolerance=1e-13, **masses)
        potentials = tf.where(rows > 0, solution.row_potential, 0)
        return tf.reduce_sum(weights * solution.plan) + tf.reduce_sum(
            row_weights * potentials
        )

    arguments = (x, t, rows, cols)
    actual = derivatives(loss, *arguments)
    for which in range(4):
        expected = differences(loss, arguments, which)
        # That to a mass of 0 is 0.
        np.testing.assert_allclose(actual[which], expected, atol=1e-6)


def test_gradient_to_one_side_counts_the_uniform_other(rng, problem):
    x, t, rows, _ = problem
    weights = rng.normal(size=x.shape)
    loss = lambda rows: tf.reduce_sum(
        weights * st.sinkhorn(x, t, 8, row_marginals=rows, jit_compile=False)
    )
    rows = rows + 0.05
    (actual,) = derivatives(loss, rows)
    np.testing.assert_allclose(actual, differences(loss, (rows,), 0), atol=1e-7)


def test_second_derivatives_equal_naive_autodiff(rng, problem):
    x, t, rows, cols = (each[:1] for each in problem)
    weights = tf.constant(rng.normal(size=x.shape))

    def second(function):
        def product(*arguments):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                loss = tf.reduce_sum(weights * function(*arguments))
            first = tape.gradient(loss, arguments)
            return sum(tf.reduce_sum(g**2) for g in first)

        return derivatives(product, x, t, rows, cols)

    def ours(x, t, rows, cols):
        return operator(5, row_marginals=rows, col_marginals=cols)(x, t)

    naive = functools.partial(balanced_naive, n_iters=5)
    for a, e in zip(second(ours), second(naive), strict=True):
        assert_relatively_close(a, e, 1e-8)


def test_solution_has_the_masses(problem):
    x, t, rows, cols = problem
    solution = st.sinkhorn_solve(x, t, row_marginals=rows, col_marginals=cols)
    assert solution.converged.numpy().all()
    plan = solution.plan.numpy()
    np.testing.assert_allclose(plan.sum(2), rows, atol=1e-6)
    np.testing.assert_allclose(plan.sum(1), cols, atol=1e-6)
    f, g = solution.row_potential.numpy(), solution.col_potential.numpy()
    expected = np.exp((x - f[:, :, None] - g[:, None]) / t[:, None, None])
    exists = (rows > 0)[:, :, None] & (cols > 0)[:, None]
    np.testing.assert_allclose(plan[exists], expected[exists], rtol=1e-9)
    assert not plan[~exists].any() and not f[rows == 0].any()
    np.testing.assert_allclose((f * rows).sum(1), (g * cols).sum(1), atol=1e-9)


def test_masses_that_forbidden_pairs_cannot_carry_are_told(rng):
    x = np.zeros((2, 3, 3))
    # The first two items have one position for their mass.
    x[:, :2, 1:] = -np.inf
    cols = np.array([[0.3, 0.3, 0.4], [0.7, 0.2, 0.1]])
    rows = np.array([0.3, 0.3, 0.4])
    solution = st.sinkhorn_solve(x, 0.5, row_marginals=rows, col_marginals=cols)
    assert solution.converged.numpy().tolist() == [False, True]


def test_tolerance_is_in_the_units_of_the_masses(problem):
    x, t, rows, cols = problem
    for factor in (1, 1e3):
        masses = {"row_marginals": factor * rows, "col_marginals": factor * cols}
        plan = st.sinkhorn(x, t, 500, tolerance=factor * 1e-3, **masses).numpy()
        error = np.abs(plan.sum(2) / factor - rows).max(1)
        assert (error <= 1e-3).all() and (error > 1e-6).all()


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_bad_mass_of_a_graph_stays_in_its_example(problem, value):
    x, t, rows, cols = problem
    bad = rows.copy()
    bad[1, 0] = value

    @tf.function
    def results(rows, cols):
        masses = {"row_marginals": rows, "col_marginals": cols}
        solution = st.sinkhorn_solve(x, t, **masses)
        return st.sinkhorn(x, t, **masses), solution.plan, solution.converged

    clean, dirty = results(rows, cols), results(bad, cols)
    for a, e in zip(dirty[:2], clean[:2], strict=True):
        np.testing.assert_array_equal(a.numpy()[[0, 2]], e.numpy()[[0, 2]])
        assert np.isnan(a[1]).all()
    assert dirty[2].numpy().tolist() == [True, False, True]
    mismatch = results(rows, 1.1 * cols)
    assert np.isnan(mismatch[0]).all() and np.isnan(mismatch[1]).all()


@pytest.mark.parametrize(
    "masses, error, received",
    [
        ({"row_marginals": [1.0, -1.0]}, ValueError, r"row_marginals=\[1.0, -1.0\]"),
        ({"col_marginals": [1.0, np.nan, 1.0]}, ValueError, "nan"),
        ({"row_marginals": [1.0]}, ValueError, r"row_marginals.shape=\(1,\)"),
        ({"row_marginals": "many"}, TypeError, "row_marginals='many'"),
        (
            {"row_marginals": [1.0, 1.0], "col_marginals": [1.0, 1.0, 1.0]},
            ValueError,
            "totals of 2.0 and 3.0",
        ),
    ],
)
@pytest.mark.parametrize("function", [st.sinkhorn, st.sinkhorn_solve])
def test_errors_name_the_value_received(function, masses, error, received):
    with pytest.raises(error, match=f"Received: .*{received}"):
        function(np.zeros((2, 3)), **masses)


def test_what_a_mask_leaves_out_has_no_mass(rng):
    x = rng.normal(size=(2, 3))
    mask = [True, True, False]
    plan = st.sinkhorn(
        x, row_marginals=[1.0, 1.0], col_marginals=[1.5, 0.5, 9.0], col_mask=mask
    )
    expected = st.sinkhorn(x[:, :2], row_marginals=[1.0, 1.0], col_marginals=[1.5, 0.5])
    np.testing.assert_allclose(plan[:, :2], expected, atol=1e-15)
    empty = st.sinkhorn(x, row_marginals=[1.0, 2.0], row_mask=[False, False])
    assert not empty.numpy().any()


def test_solutions_converge_whatever_the_ratio_of_masses(rng):
    x = rng.normal(size=(60, 10, 10))
    rows, cols = 10 ** rng.uniform(-2, 2, (2, 60, 10))
    cols *= (rows.sum(1) / cols.sum(1))[:, None]
    solution = st.sinkhorn_solve(x, 0.2, row_marginals=rows, col_marginals=cols)
    assert solution.converged.numpy().all()


def test_gradients_to_small_masses_in_single_precision(rng):
    x, weights = rng.normal(size=(1, 8, 6)), rng.normal(size=(1, 8, 6))
    rows, cols = 10 ** rng.uniform(-4, 4, (1, 8)), 10 ** rng.uniform(-4, 4, (1, 6))
    cols *= rows.sum() / cols.sum()

    def gradients(dtype):
        masses = [tf.constant(each, dtype) for each in (rows, cols)]
        with tf.GradientTape() as tape:
            tape.watch(masses)
            plan = st.sinkhorn(
                tf.constant(x, dtype),
                0.1,
                row_marginals=masses[0],
                col_marginals=masses[1],
                jit_compile=False,
            )
            loss = tf.reduce_sum(tf.constant(weights, dtype) * plan)
        return [g.numpy() for g in tape.gradient(loss, masses)]

    for a, e in zip(gradients("float32"), gradients("float64"), strict=True):
        assert_relatively_close(a, e, 2e-3)


def test_an_infinite_mass_of_a_graph_has_no_gradient_and_no_place_in_a_mask():
    mask = [True, True, True, False]

    @tf.function
    def results(rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            plan = st.sinkhorn(
                np.zeros((2, 4, 4), np.float32), row_marginals=rows, row_mask=mask
            )
            loss = tf.reduce_sum(plan**2)
        return plan, tape.gradient(loss, rows)

    plan, gradient = results(tf.constant([[1.0, np.inf, 1.0, 1.0], [1.0] * 4]))
    assert np.isnan(plan[0, :3]).all() and not plan[0, 3].numpy().any()
    assert not gradient[0].numpy().any() and np.isfinite(gradient[1]).all()
    plan, _ = results(tf.constant([[2e38, 2e38, 1e38, 1.0], [1.0] * 4]))
    assert np.isnan(plan[0, :3]).all()
