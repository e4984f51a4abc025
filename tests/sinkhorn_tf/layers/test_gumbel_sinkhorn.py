"""The layer of Sinkhorn's operator with noise."""

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.references import plain_sinkhorn

N = 4


def test_hard_gumbel_matches_its_own_noisy_logits(rng):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    settings = {"temperature": 0.05, "n_iters": 8, "n_samples": 4, "seed": 1}
    soft = st.GumbelSinkhorn(**settings)(x, training=True).numpy()
    hard = st.GumbelSinkhorn(**settings, hard=True)(x, training=True).numpy()
    assert set(np.unique(hard)) == {0, 1}
    assert (hard.sum(-1) == 1).all() and (hard.sum(-2) == 1).all()
    clear = soft.max(-1).min(-1) > 0.9
    assert clear.sum() > 3
    np.testing.assert_array_equal(hard[clear], np.round(soft[clear]))


def test_gumbel_without_training_is_sinkhorn_in_identical_copies(rng):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    plan = plain_sinkhorn(x, 0.3)
    layer = st.GumbelSinkhorn(0.3, n_iters=3)
    for output in (layer(x), layer(x, training=False)):
        np.testing.assert_allclose(output, plan, atol=1e-6)
    copies = st.GumbelSinkhorn(0.3, n_iters=3, n_samples=5)(x).numpy()
    assert copies.shape == (3, 5, N, N)
    np.testing.assert_array_equal(copies, copies[:, :1].repeat(5, 1))
    np.testing.assert_allclose(copies[:, 0], plan, atol=1e-6)


@pytest.mark.parametrize("graph", [False, True])
def test_gumbel_draws_new_noise_at_each_training_call(graph):
    x = np.zeros((3, N, N), np.float32)
    layer = st.GumbelSinkhorn(n_iters=3, n_samples=2, seed=0)
    call = lambda x: layer(x, training=True)
    call = tf.function(call) if graph else call
    draws = np.concatenate([call(x).numpy() for _ in range(3)])
    assert len(np.unique(draws.reshape(18, -1), axis=0)) == 18


def test_gumbel_honours_its_seed():
    x = np.zeros((3, N, N), np.float32)
    settings = {"n_iters": 3, "n_samples": 2}
    first, same = (st.GumbelSinkhorn(**settings, seed=5) for _ in range(2))
    other, fresh = (st.GumbelSinkhorn(**settings, seed=seed) for seed in (6, None))
    for _ in range(2):
        expected = first(x, training=True).numpy()
        np.testing.assert_allclose(same(x, training=True), expected, atol=1e-6)
        for layer in (other, fresh):
            assert np.abs(layer(x, training=True).numpy() - expected).max() > 0.01


def test_gumbel_noise_scale_zero_has_no_noise(rng):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    layer = st.GumbelSinkhorn(0.3, noise_scale=0, n_iters=3)
    np.testing.assert_allclose(
        layer(x, training=True), plain_sinkhorn(x, 0.3), atol=1e-6
    )
