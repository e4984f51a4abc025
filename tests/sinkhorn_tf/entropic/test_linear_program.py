"""`st.entropic.solve_lp` against closed forms, other solvers, and the conditions."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

import sinkhorn_tf as st

entropic = st.entropic


def birkhoff(n):
    """`A, b` of the doubly stochastic matrices; one row is redundant."""
    A = np.concatenate([np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))])
    return A, np.ones(2 * n)


def random_polytope(rng, d, m, zeros=0.0, scale=1.0):
    """A bounded `{Ax = b, x >= 0}` that is not empty."""
    A = rng.normal(size=(m, d))
    A[0] = rng.uniform(0.5, 2, d)
    x = scale * rng.exponential(size=d) * (rng.random(d) >= zeros)
    return A, A @ x


def entropy(x):
    return -np.sum(np.where(x > 0, x * np.log(np.where(x > 0, x, 1)), 0), -1)


def dual_error(c, A, eta, x):
    """How far `(log x + 1) / eta + c` is from the span of the rows."""
    u = (np.log(x) + 1) / eta + c
    return np.abs(u - A.T @ np.linalg.lstsq(A.T, u, rcond=None)[0]).max()


def vertices_of(A, b):
    """All basic solutions that are not negative."""
    m, d = A.shape
    vertices = []
    for basis in itertools.combinations(range(d), m):
        part = A[:, basis]
        if abs(np.linalg.det(part)) < 1e-9:
            continue
        x = np.zeros(d)
        x[list(basis)] = np.linalg.solve(part, b)
        if x.min() >= -1e-12:
            vertices.append(np.maximum(x, 0))
    return np.array(vertices)


@pytest.mark.parametrize("strength", [0.1, 1, 10, 100, 1e4])
@pytest.mark.parametrize("d", [2, 7, 50])
def test_simplex_closed_form(rng, d, strength):
    c, beta = rng.normal(size=d), 2.5
    eta = strength / np.ptp(c)
    x = entropic.solve_lp(c, np.ones((1, d)), [beta], eta)
    assert x.dtype == np.float64 and x.shape == (d,)
    np.testing.assert_allclose(
        x, entropic.simplex_solution(c, beta, eta), rtol=1e-9, atol=1e-300
    )


@pytest.mark.parametrize("strength", [1, 100, 1e4])
@pytest.mark.parametrize("kind", ["normal", "integers"])
@pytest.mark.parametrize("n", [2, 5, 10])
def test_birkhoff_agrees_with_sinkhorn_solve(rng, n, kind, strength):
    cost = rng.normal(size=(n, n))
    if kind == "integers":
        cost = rng.integers(0, 3, (n, n)).astype(float)
        cost[0, :2] = 0, 3
    eta = strength / np.ptp(cost)
    A, b = birkhoff(n)
    x = entropic.solve_lp(cost.ravel(), A, b, eta)
    assert np.abs(A @ x - b).max() <= 1e-10
    solution = st.sinkhorn_solve(-cost, 1 / eta, tolerance=1e-12, max_iters=300)
    np.testing.assert_allclose(x.reshape(n, n), solution.plan, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
@pytest.mark.parametrize("strength", [1, 100, 1e4])
def test_optimality_conditions(rng, strength, scale):
    for _ in range(12):
        d = int(rng.integers(2, 10))
        A, b = random_polytope(rng, d, int(rng.integers(1, d)), scale=scale)
        c = rng.normal(size=d)
        eta = strength / np.ptp(c)
        x = entropic.solve_lp(c, A, b, eta)
        assert np.abs(A @ x - b).max() <= 1e-10 * max(np.abs(b).max(), 1e-300)
        if x.min() > 1e-290:
            assert dual_error(c, A, eta, x) < 1e-8


def by_sequential_programming(c, A, b, eta):
    result = minimize(
        lambda x: c @ x - entropy(x) / eta,
        x0=np.full(len(c), b[0] / A[0].sum()),
        jac=lambda x: c + (np.log(x) + 1) / eta,
        bounds=[(1e-12, None)] * len(c),
        constraints={"type": "eq", "fun": lambda x: A @ x - b, "jac": lambda x: A},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert np.abs(A @ result.x - b).max() < 1e-8
    return result.x


def test_agrees_with_an_independent_solver(rng):
    for _ in range(10):
        A, b = random_polytope(rng, 6, 2)
        c = rng.normal(size=6)
        x = entropic.solve_lp(c, A, b, 3.0)
        other = by_sequential_programming(c, A, b, 3.0)
        np.testing.assert_allclose(x, other, atol=2e-5)


def test_large_eta_is_the_linear_program(rng):
    for _ in range(20):
        A, b = random_polytope(rng, 8, 3)
        c = rng.normal(size=8)
        x = entropic.solve_lp(c, A, b, 1e4 / np.ptp(c))
        least = linprog(c, A_eq=A, b_eq=b).fun
        assert -1e-8 <= c @ x - least <= 20 * x.sum() * np.ptp(c) / 1e4


@pytest.mark.parametrize("eta", [1e-300, 1e6, 1e12, 1e300])
def test_any_eta(rng, eta):
    A, b = birkhoff(4)
    c = rng.normal(size=16)
    for costs in (c, np.round(c), 0 * c, c + 1e6, c * 1e150):
        x = entropic.solve_lp(costs, A, b, eta)
        assert np.abs(A @ x - b).max() <= 1e-10


def test_redundant_rows_change_nothing(rng):
    A, b = random_polytope(rng, 7, 3)
    c = rng.normal(size=7)
    x = entropic.solve_lp(c, A, b, 20.0)
    mixed = rng.normal(size=(4, 3))
    more = np.concatenate([A, mixed @ A, 1e6 * A[:1], np.zeros((1, 7))])
    values = np.concatenate([b, mixed @ b, 1e6 * b[:1], [0]])
    np.testing.assert_allclose(entropic.solve_lp(c, more, values, 20.0), x, atol=1e-9)


def test_forced_zeros(rng):
    # x2 = x3 = 0 since their sum is; x4 = x5 with x4 + x5 = 0 by two rows.
    A = [[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1]]
    x = entropic.solve_lp([0.0, 1, -5, 2, -9, 1], A, [1, 0, 1], 2.0)
    np.testing.assert_array_equal(x[2:], 0)
    np.testing.assert_allclose(x[:2], entropic.simplex_solution([0, 1.0], 1, 2.0))
    np.testing.assert_array_equal(entropic.solve_lp([1.0, 2], [[1, 1]], [0], 1), 0)
    # A single point.
    np.testing.assert_allclose(
        entropic.solve_lp([1.0, 2], [[1, 1], [1, -1]], [3, 1], 5.0), [2, 1]
    )
    # A triangular pattern leaves the identity only.
    n = 5
    A, b = birkhoff(n)
    upper = np.tri(n).ravel() > 0
    x = entropic.solve_lp(rng.normal(size=upper.sum()), A[:, upper], b, 10.0)
    expected = np.eye(n).ravel()[upper]
    np.testing.assert_allclose(x, expected, atol=1e-12)
    assert (x[expected == 0] == 0).all()


def test_forced_zeros_on_random_faces(rng):
    for _ in range(30):
        A, b = random_polytope(rng, 8, 3, zeros=0.7)
        c = rng.normal(size=8)
        for eta in (1.0, 1e3):
            x = entropic.solve_lp(c, A, b, eta)
            np.testing.assert_allclose(A @ x, b, atol=1e-9)
            assert (x >= 0).all()


def test_marginals_of_very_different_sizes(rng):
    rows = np.array([1e-7, 1.0, 2.0, 1e-3])
    cols = np.full(5, rows.sum() / 5)
    A = np.concatenate([np.kron(np.eye(4), np.ones(5)), np.kron(np.ones(4), np.eye(5))])
    b = np.concatenate([rows, cols])
    for strength in (1, 100, 1e4):
        c = rng.integers(0, 4, 20).astype(float)
        x = entropic.solve_lp(c, A, b, strength / 3)
        assert np.abs(A @ x - b).max() < 1e-10


def test_bounds_hold_on_random_polytopes(rng):
    """Theorem 1, Prop. 1 and Corollaries 1, 2 with radii from the vertices."""
    fast = 0
    for _ in range(60):
        A, b = random_polytope(rng, 6, 2)
        c = rng.normal(size=6)
        vertices = vertices_of(A, b)
        values = vertices @ c
        if len(vertices) < 2:
            continue
        gap = entropic.suboptimality_gap(c, vertices)
        R1 = vertices.sum(1).max()
        # The entropy is concave: its least value is at a vertex.
        most = entropy(entropic.solve_lp(0 * c, A, b, 1.0))
        RH = most - entropy(vertices).min()
        tau = 0.5 * np.ptp(values)
        gap_tau = entropic.suboptimality_gap(c, vertices, tau=tau)
        for factor in (0.1, 1.001, 3, 10):
            eta = factor * (R1 + RH) / gap
            if eta * np.ptp(c) > 1e4:
                continue
            x = entropic.solve_lp(c, A, b, eta)
            value = c @ x - values.min()
            allowed = 1e-9 * np.abs(values).max()
            assert value <= entropic.slow_rate(eta, RH) + allowed
            assert value <= entropic.fast_rate(eta, gap, R1, RH) + allowed
            relaxed = entropic.relaxed_rate(eta, gap_tau, tau, R1, RH)
            assert value <= relaxed + allowed
            distance = np.abs(x - vertices[values.argmin()]).sum()
            bound = entropic.distance_bound(eta, gap, R1, RH)
            assert distance <= bound + 1e-9 * R1
            fast += math.isfinite(bound)
    assert fast > 50


@pytest.mark.parametrize(
    ("c", "A", "b", "eta", "message"),
    [
        ([1, 2], [[1, 1], [2, 2]], [1, 3], 1, "contradict"),
        ([1, 2], [[1, 1], [0, 0]], [1, 1], 1, "contradict"),
        ([1, 2], [[1, 1]], [-1], 1, "infeasible"),
        ([1, 2, 3], [[1, 1, 1], [1, 2, 3]], [1, 4], 1, "infeasible"),
        ([1, 2], [[1, -1]], [1], 1, "bounded"),
        ([1, 2], [[1, -1]], [0], 1, "bounded"),
        ([1, 2], [[1, 0]], [1], 1, "bounded"),
        ([1, 2], [[0, 0]], [0], 1, "bounded"),
        ([math.nan, 2], [[1, 1]], [1], 1, "NaN"),
        ([math.inf, 2], [[1, 1]], [1], 1, "finite"),
        ([1, 2], [[1, math.inf]], [1], 1, "finite"),
        ([1, 2], [[1, 1]], [math.nan], 1, "NaN"),
        ([1, 2], [[1, 1]], [1], 0, "eta"),
        ([1, 2], [[1, 1]], [1], math.inf, "eta"),
        ([1, 2], [[1, 1]], [1], [1, 2], "eta"),
        ([1, 2], [1, 1], [1], 1, "axes"),
        ([1, 2], [[1, 1]], [1, 2], 1, "shape"),
        ([], np.zeros((1, 0)), [1], 1, "shape"),
        ("ab", [[1, 1]], [1], 1, "real numbers"),
    ],
)
def test_bad_input_is_one_sentence(c, A, b, eta, message):
    with pytest.raises(ValueError, match=message) as error:
        entropic.solve_lp(c, A, b, eta)
    assert "Received: " in str(error.value)
    assert len(str(error.value).splitlines()) == 1
