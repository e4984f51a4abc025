"""The reference of rectangles and ragged sets, and what it says of marginals."""

import types

import numpy as np
import pytest
import scipy.special

from pipelines.benchmark import cases
from pipelines.benchmark.balance import free_dustbins, sizes
from pipelines.benchmark.reference import Reference, residual


def ragged(seed=0, **changes):
    case = cases.Case("shapes", "backward", 6, 4, 3, 0.5, m=5, smallest=1)
    values = cases.inputs(case, seed) | changes
    return types.SimpleNamespace(**values)


def problem_of(name, **changes):
    case = cases.Case("shapes", "backward", 6, 4, 3, 0.5, m=5, problem=name)
    return types.SimpleNamespace(**cases.inputs(case, seed=0) | changes)


def plan_of_masses(z, rows, cols, iterations):
    """The plan for masses of both sides, float64."""
    for _ in range(iterations):
        z = z - scipy.special.logsumexp(z, 2, keepdims=True) + np.log(rows)[..., None]
        z = z - scipy.special.logsumexp(z, 1, keepdims=True) + np.log(cols)[:, None]
    return np.exp(z)


def plan_of_free_dustbins(z, iterations):
    """The plan whose dustbins stand last and are not normalised."""
    for _ in range(iterations):
        z[:, :-1] -= scipy.special.logsumexp(z[:, :-1], 2, keepdims=True)
        z[:, :, :-1] -= scipy.special.logsumexp(z[:, :, :-1], 1, keepdims=True)
    return np.exp(z)


def plan_of_problem(inputs, name):
    z = inputs.logits.astype(np.float64)
    ones, iterations = np.ones(z.shape[:2]), inputs.iterations
    if name == "masses":
        masses = inputs.row_marginals, inputs.col_marginals
        return plan_of_masses(z / inputs.temperature, *masses, iterations)
    if name == "balanced":
        cols = np.full((6, 5), 4 / 5)
        return plan_of_masses(z / inputs.temperature, ones, cols, iterations)
    padding = ((0, 0), (0, 1), (0, 1))
    z = np.pad(z, padding, constant_values=inputs.unmatched_score)
    if name == "free dustbins":
        return plan_of_free_dustbins(z / inputs.temperature, iterations)[:, :-1, :-1]
    rows, cols = np.float64([[1] * 4 + [5]] * 6), np.float64([[1] * 5 + [4]] * 6)
    plan = plan_of_masses(z / inputs.temperature, rows, cols, iterations)
    return plan[:, :-1, :-1]


@pytest.mark.parametrize("name", ["masses", "balanced", "dustbins", "free dustbins"])
def test_masses_and_dustbins(name):
    inputs = problem_of(name.removeprefix("free "))
    balance = free_dustbins(inputs) if name == "free dustbins" else None
    reference = Reference(inputs, balance)
    np.testing.assert_allclose(
        reference.plan, plan_of_problem(inputs, name), atol=1e-6 * (name == "masses")
    )
    direction = np.random.default_rng(1).standard_normal(inputs.logits.shape)
    losses = []
    for step in (1e-5, -1e-5):
        moved = inputs.logits.astype(np.float64) + step * direction
        plan = plan_of_problem(
            problem_of(name.removeprefix("free "), logits=moved), name
        )
        losses.append((plan * inputs.weights).sum())
    gradient = reference.gradient(inputs.weights)
    difference = (losses[0] - losses[1]) / 2e-5
    assert (gradient * direction).sum() == pytest.approx(difference, rel=1e-6)


def plan_of_one(x, n, m, inputs):
    """The plan of the part of `x` that exists, by rows and columns of logit 0."""
    z = x[:n, :m].astype(np.float64) / inputs.temperature
    masses = np.ones(m + (n > m))
    if n < m:
        z = np.pad(z, ((0, m - n), (0, 0)))
    if n > m:
        z = np.pad(z, ((0, 0), (0, 1)))
        masses[-1] = n - m
    for _ in range(inputs.iterations):
        z -= scipy.special.logsumexp(z, 1, keepdims=True)
        z -= scipy.special.logsumexp(z, 0, keepdims=True) - np.log(masses)
    plan = np.zeros(x.shape)
    plan[:n, :m] = np.exp(z[:n, :m])
    return plan


def plan_of_each(inputs):
    examples = zip(inputs.logits, *sizes(inputs), strict=True)
    return np.stack([plan_of_one(x, n, m, inputs) for x, n, m in examples])


def test_the_plan_is_that_of_what_exists():
    inputs = ragged()
    items, positions = sizes(inputs)
    assert (items < positions).any() and (items > positions).any()
    plan = Reference(inputs).plan
    np.testing.assert_allclose(plan, plan_of_each(inputs), atol=1e-14)


def test_the_gradient_is_that_of_central_differences():
    inputs = ragged(logits=ragged().logits.astype(np.float64))
    gradient = Reference(inputs).gradient(inputs.weights)
    direction = np.random.default_rng(1).standard_normal(inputs.logits.shape)
    losses = []
    for step in (1e-5, -1e-5):
        moved = ragged(logits=inputs.logits + step * direction)
        losses.append((plan_of_each(moved) * inputs.weights).sum())
    difference = (losses[0] - losses[1]) / 2e-5
    assert (gradient * direction).sum() == pytest.approx(difference, rel=1e-7)
    pairs = inputs.row_mask[:, :, None] & inputs.col_mask[:, None]
    assert (gradient[~pairs] == 0).all() and (gradient[pairs] != 0).any()


def test_the_residual_counts_what_exceeds_the_longer_side():
    inputs = types.SimpleNamespace(logits=np.zeros((1, 1, 2), np.float32))
    assert residual(inputs, np.array([[[0.5, 0.5]]])) == 0
    assert residual(inputs, np.array([[[0.5, 0.25]]])) == 0.25
    assert residual(inputs, np.array([[[1.5, 0.0]]])) == 0.5
    inputs.row_mask, inputs.col_mask = np.array([[True]]), np.array([[True, False]])
    assert residual(inputs, np.array([[[1.0, 0.0]]])) == 0
    assert residual(inputs, np.array([[[1.0, 0.25]]])) == 0.25


def test_the_residual_counts_what_differs_from_masses_or_exceeds_dustbins():
    inputs = types.SimpleNamespace(logits=np.zeros((1, 1, 2), np.float32))
    inputs.row_marginals = np.float32([[3]])
    assert residual(inputs, np.array([[[1.5, 1.5]]])) == 0
    assert residual(inputs, np.array([[[1.25, 1.75]]])) == 0.25
    del inputs.row_marginals
    inputs.unmatched_score = 0.0
    assert residual(inputs, np.array([[[0.5, 0.25]]])) == 0
    assert residual(inputs, np.array([[[0.5, 0.75]]])) == 0.25
