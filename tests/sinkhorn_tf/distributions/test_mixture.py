import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.distributions import enumeration

GumbelSinkhorn = st.distributions.GumbelSinkhorn


def shares(x, temperature, noise_scale, noise):
    """The mixture by enumeration: lists, and the probabilities of all under each noise."""
    lists = enumeration.matchings(*x.shape)
    matrices = enumeration.matrices(lists, x.shape[1])
    scores = np.einsum("snm,knm->sk", x + noise_scale * noise, matrices) / temperature
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return lists, weights / weights.sum(1, keepdims=True)


def test_plans_and_permutations_are_those_of_the_noise(rng):
    x = rng.normal(size=(3, 3))
    mixture = GumbelSinkhorn(x, 0.5, 0.7).sample_mixture(2000, seed=4)
    noise = st.distributions.gumbel_noise((2000, 3, 3), 4, tf.float64).numpy()
    lists, each = shares(x, 0.5, 0.7, noise)
    matrices = enumeration.matrices(lists, 3)
    np.testing.assert_allclose(
        mixture.plans, np.einsum("sk,knm->snm", each, matrices), atol=1e-10
    )
    drawn = (mixture.perm.numpy()[:, None] == lists).all(-1).mean(0)
    assert abs(drawn - each.mean(0)).max() < 0.03


def test_the_divergence_bounds_that_of_the_mixture_and_comes_close(rng):
    x = rng.normal(size=(3, 3))
    _, each = shares(x, 0.5, 1.0, rng.gumbel(size=(200_000, 3, 3)))
    share = each.mean(0)
    known = (share * np.log(share * 6)).sum()
    distribution = GumbelSinkhorn(x, 0.5)
    means = [
        np.mean([distribution.sample_mixture(k, seed=s).divergence for s in range(200)])
        for k in (2, 10, 100)
    ]
    assert means[0] > means[1] > means[2] > known - 0.01
    assert means[2] < known + 0.03
    large = np.mean(
        [distribution.sample_mixture(2000, seed=s).divergence for s in range(5)]
    )
    np.testing.assert_allclose(large, known, atol=0.02)


def test_the_gradient_is_that_of_the_divergence(rng):
    x = rng.normal(size=(3, 3))
    noise = rng.gumbel(size=(20_000, 3, 3))

    def divergence(x):
        share = shares(x, 0.5, 1.0, noise)[1].mean(0)
        return (share * np.log(share * 6)).sum()

    known = np.zeros_like(x)
    h = 1e-4
    for index in np.ndindex(3, 3):
        step = np.zeros_like(x)
        step[index] = h
        known[index] = (divergence(x + step) - divergence(x - step)) / (2 * h)
    logits = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = GumbelSinkhorn(logits, 0.5).sample_mixture(4000, seed=0).divergence
    np.testing.assert_allclose(tape.gradient(value, logits), known, atol=0.06)


def test_no_noise_in_the_answer_of_constant_logits():
    mixture = GumbelSinkhorn(np.zeros((2, 4, 4)), 1.0, 0.0).sample_mixture(50, seed=0)
    np.testing.assert_allclose(mixture.divergence, 0, atol=1e-10)
    np.testing.assert_allclose(mixture.plans, 0.25, atol=1e-12)


def test_masks_forbidden_pairs_and_rectangles(rng):
    x = rng.normal(size=(2, 3, 4))
    x[:, 0, 1] = -np.inf
    row_mask = np.array([[1, 0, 1], [1, 1, 1]], bool)
    # What a mask leaves out may be anything.
    given = np.where(row_mask[..., None], x, np.nan)
    mixture = GumbelSinkhorn(given, row_mask=row_mask).sample_mixture(50, seed=0)
    assert mixture.perm.shape == (50, 2, 3) and mixture.plans.shape == (50, 2, 3, 4)
    assert (mixture.perm.numpy()[:, 0, 1] == -1).all()
    assert (mixture.perm.numpy()[:, :, 0] != 1).all()
    assert (mixture.plans.numpy()[:, :, 0, 1] == 0).all()
    divergence = mixture.divergence.numpy()
    assert np.isfinite(divergence).all() and (divergence > 0).all()
    # Two items in the first example: without noise the mixture is uniform.
    flat = np.where(np.isneginf(x), x, 0)
    uniform = GumbelSinkhorn(flat, 1.0, 0.0, row_mask=row_mask).sample_mixture(
        9, seed=0
    )
    np.testing.assert_allclose(uniform.divergence, 0, atol=1e-10)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graphs_give_the_same(rng, jit_compile):
    x = rng.normal(size=(2, 3, 3))
    function = lambda x: GumbelSinkhorn(x, 0.5).sample_mixture(20, seed=3)
    traced = tf.function(function, jit_compile=jit_compile)(x)
    for a, b in zip(traced, function(x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_a_batch_of_temperatures_keeps_examples_apart(rng):
    x = rng.normal(size=(2, 3, 3)).astype(np.float32)
    t = np.array([0.3, 2], np.float32)
    mixture = GumbelSinkhorn(x, t).sample_mixture(400, seed=0)
    assert mixture.divergence.dtype == tf.float32
    means = tf.reduce_mean(tf.reduce_max(mixture.plans, -1), [0, 2])
    assert means[0] > means[1] + 0.1


@pytest.mark.parametrize("n_samples, error", [(1, ValueError), (2.0, TypeError)])
def test_errors_name_the_value_received(n_samples, error):
    with pytest.raises(error, match="Received: n_samples="):
        GumbelSinkhorn(np.eye(3)).sample_mixture(n_samples)


def test_what_is_too_large_names_the_alternative():
    with pytest.raises(ValueError, match="kl_to_prior.*Received: logits.shape=.20, 20"):
        GumbelSinkhorn(np.eye(20)).sample_mixture(2, seed=0)
