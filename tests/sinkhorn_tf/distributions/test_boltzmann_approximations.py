"""Approximations for more items than the exact program takes."""

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.distributions import enumeration
from tests.sinkhorn_tf.distributions.enumeration import reference

Boltzmann = st.distributions.BoltzmannPermutations


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("n_iters", [0, 1, 3, 200])
def test_bethe_is_a_lower_bound(rng, n, n_iters):
    for spread in (0.3, 1, 3, 10):
        x = spread * rng.normal(size=(20, n, n))
        distribution = Boltzmann(x)
        exact = distribution.log_partition().numpy()
        bethe = distribution.log_partition_bethe(n_iters).numpy()
        assert (bethe <= exact + 1e-9).all()
        if n_iters == 200:
            assert (bethe >= exact - n / 2 * np.log(2) - 1e-9).all()


def test_bethe_of_constant_logits_is_the_known_number():
    n = 6
    p = 1 / n
    known = n * n * (-p * np.log(p) + (1 - p) * np.log(1 - p))
    bethe = Boltzmann(np.zeros((n, n))).log_partition_bethe()
    np.testing.assert_allclose(bethe, known, rtol=1e-12)


def test_bethe_knows_forbidden_pairs_rectangles_and_masks(rng):
    x = rng.normal(size=(8, 4, 6))
    x[rng.random(x.shape) < 0.2] = -np.inf
    row_mask = np.ones((8, 4), bool)
    row_mask[::2, 1] = False
    distribution = Boltzmann(x, row_mask=row_mask)
    exact = distribution.log_partition().numpy()
    bethe = distribution.log_partition_bethe().numpy()
    assert (bethe <= exact + 1e-9).all() and (bethe > exact - 3).all()
    plan = distribution.marginals_bethe().numpy()
    assert (plan[~np.isfinite(x)] < 1e-12).all()
    np.testing.assert_allclose(plan.sum(2), row_mask, atol=1e-9)
    assert abs(plan - distribution.marginals().numpy()).max() < 0.2


@pytest.mark.parametrize("n_iters", [0, 200])
def test_bethe_where_the_best_matching_is_the_best_bound(n_iters):
    for x in (np.eye(2), 5 * np.eye(4), 10 * np.eye(3)):
        logits = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = Boltzmann(logits).log_partition_bethe(n_iters)
        assert np.trace(x) - 1e-9 <= value <= Boltzmann(x).log_partition() + 1e-9
        plan = Boltzmann(x).marginals_bethe(n_iters).numpy()
        np.testing.assert_allclose(plan.sum(0), 1, atol=1e-12)
        np.testing.assert_allclose(tape.gradient(value, logits), plan, atol=1e-12)


def test_bethe_takes_large_problems(rng):
    x = rng.normal(size=(60, 60))
    distribution = Boltzmann(x, 0.5)
    plan = distribution.marginals_bethe().numpy()
    np.testing.assert_allclose(plan.sum(0), 1, atol=1e-12)
    np.testing.assert_allclose(plan.sum(1), 1, atol=1e-12)
    value = x[np.arange(60), distribution.mode()].sum() / 0.5
    assert distribution.log_partition_bethe() > value


def test_the_gradient_of_bethe_is_its_marginals(rng):
    x = tf.constant(rng.normal(size=(2, 5, 5)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = Boltzmann(x, 0.5).log_partition_bethe()
    plan = Boltzmann(x, 0.5).marginals_bethe()
    np.testing.assert_allclose(tape.gradient(value, x), plan / 0.5, atol=1e-12)


@pytest.mark.parametrize("n, m", [(4, 4), (2, 4), (4, 3)])
def test_metropolis_comes_close(rng, n, m):
    x = rng.normal(size=(n, m))
    lists = enumeration.matchings(n, m)
    _, log_probs, _, _ = reference(x, lists)
    samples = Boltzmann(x).sample_metropolis(20_000, seed=0).numpy()
    number = {tuple(row): k for k, row in enumerate(lists.tolist())}
    numbers = [number[tuple(s)] for s in samples.tolist()]
    share = np.bincount(numbers, None, len(lists)) / 20_000
    # The total variation of 20,000 exact samples of 24 outcomes is about .012.
    assert abs(share - np.exp(log_probs)).sum() / 2 < 0.03


def test_metropolis_takes_rectangles_masks_and_no_steps(rng):
    x = rng.normal(size=(3, 4, 6))
    row_mask = np.array([[1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 1]], bool)
    distribution = Boltzmann(x, row_mask=row_mask)
    samples = distribution.sample_metropolis((2, 50), seed=0)
    assert samples.shape == (2, 50, 3, 4)
    assert np.isfinite(distribution.log_prob(samples)).all()
    assert len(np.unique(samples[:, :, 1].numpy().reshape(100, 4), axis=0)) > 10
    still = distribution.sample_metropolis(2, seed=0, n_steps=0)
    np.testing.assert_array_equal(
        still, np.broadcast_to(distribution.mode(), (2, 3, 4))
    )
