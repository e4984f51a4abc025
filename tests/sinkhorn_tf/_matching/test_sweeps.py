"""Assignment by sweeps, in plain graphs of known N."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf._matching import sweeps


def assign(x, g=None):
    x = tf.constant(x)
    g = tf.zeros(x.shape[:2], x.dtype) if g is None else tf.constant(g)
    function = tf.function(lambda x, g: sweeps.assign(x, g, tf.zeros(len(x), tf.bool)))
    return (result.numpy() for result in function(x, g))


def assert_optimal(x, perm, g):
    for each, ours, dual in zip(x, perm, g, strict=True):
        expected = linear_sum_assignment(each, maximize=True)[1]
        rows = np.arange(len(each))
        assert sorted(ours) == list(rows)
        best, value = each[rows, expected].sum(), each[rows, ours].sum()
        size = 1e-12 * np.abs(each[rows, expected]).sum()
        assert best - size <= value
        bound = dual.sum() + (each - dual).max(1).sum()
        np.testing.assert_allclose(bound, best, rtol=0, atol=max(size, 1e-10))


@pytest.mark.parametrize("n", [1, 2, 11, 36, 100])
def test_random_scores_from_any_duals(rng, n):
    x, g = rng.normal(size=(5, n, n)), rng.normal(size=(5, n))
    assert_optimal(x, *assign(x))
    assert_optimal(x, *assign(x, 10 * g))


def test_equal_rows_and_columns_and_ties(rng):
    x = rng.normal(size=(4, 20, 20))
    x[0, ::2] = x[0, :1]
    x[1, :, ::2] = x[1, :, :1]
    x[2] = rng.integers(0, 3, (20, 20))
    x[3] = 0
    assert_optimal(x, *assign(x))


def test_equal_rows_share_columns_out(rng, monkeypatch):
    """Otherwise each sweep would place one of them."""
    count = []
    sweep = sweeps._sweep
    monkeypatch.setattr(sweeps, "_sweep", lambda *a: count.append(1) or sweep(*a))
    x = rng.normal(size=(1, 64, 64))
    x[:, :40] = x[:, :1]
    state = sweeps._State(
        tf.zeros([1, 64], tf.float64), tf.fill([1, 64], -1), tf.constant([True])
    )
    while state.active.numpy().any():
        state = sweeps._sweep(tf.constant(x), state)
    assert len(count) <= 12


def test_forbidden_pairs(rng):
    x = rng.normal(size=(6, 15, 15))
    forbidden = rng.random(x.shape) < 0.7
    forbidden[:, np.arange(15), rng.permutation(15)] = False
    x[forbidden] = -np.inf
    # Three rows that share two columns, and one without any.
    x[4, :3, 2:] = -np.inf
    x[5, 7] = -np.inf
    perm, g = assign(x)
    assert_optimal(x[:4], perm[:4], g[:4])
    assert np.isfinite(g).all()
    assert [(each < 0).any() for each in perm] == [False] * 4 + [True] * 2


def test_an_example_has_the_same_bits_in_any_batch(rng):
    x = rng.normal(size=(8, 30, 30))
    perm, g = assign(x)
    for index in (0, 3):
        alone, alone_g = assign(x[index : index + 1])
        np.testing.assert_array_equal(alone[0], perm[index])
        np.testing.assert_array_equal(alone_g[0], g[index])


def test_lengths_that_differ_by_rounding_leave_no_cycle(rng):
    # Sums of such numbers swallow each other's digits.
    x = rng.choice([0.0, 1e-16, 3e-16, 1.0, 1 + 2e-16], size=(50, 12, 12))
    assert_optimal(x, *assign(x))


def test_matching_in_a_plain_graph_takes_sweeps(rng, monkeypatch):
    called = []
    whole = sweeps.assign
    monkeypatch.setattr(
        sweeps, "assign", lambda *a, **k: called.append(1) or whole(*a, **k)
    )
    x = tf.constant(rng.normal(size=(2, 20, 20)))
    graph = tf.function(lambda x: st.matching(x), autograph=False)
    np.testing.assert_array_equal(graph(x), st.matching(x))
    assert len(called) == 1
