"""The reference of rectangles and ragged sets, and what it says of marginals."""

import types

import numpy as np
import pytest
import scipy.special

from pipelines.benchmark import cases
from pipelines.benchmark.balance import sizes
from pipelines.benchmark.reference import Reference, residual


def ragged(seed=0, **changes):
    case = cases.Case("shapes", "backward", 6, 4, 3, 0.5, m=5, smallest=1)
    values = cases.inputs(case, seed) | changes
    return types.SimpleNamespace(**values)


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
