"""The layer of Sinkhorn's operator with noise."""

import keras
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


def divergence(x, temperature=0.5, noise_scale=0.7, prior=1.5, **masks):
    distribution = st.distributions.GumbelSinkhorn(x, temperature, noise_scale, **masks)
    return distribution.kl_to_prior(prior)


@pytest.mark.parametrize("training", [False, True])
def test_the_divergence_is_a_loss(rng, training):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    layer = st.GumbelSinkhorn(0.5, 0.7, n_iters=3, kl_prior_temperature=1.5)
    plain = st.GumbelSinkhorn(0.5, 0.7, n_iters=3)
    layer(x, training=training)
    plain(x, training=training)
    (loss,) = layer.losses
    np.testing.assert_allclose(loss, np.mean(divergence(x)), rtol=1e-6)
    assert plain.losses == []


def test_the_divergence_knows_masks_and_the_temperature_of_a_call(rng):
    x = rng.normal(size=(2, N, 3)).astype(np.float32)
    x[0, 3] = np.nan
    row_mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    layer = st.GumbelSinkhorn(0.5, 0.7, n_iters=3, kl_prior_temperature=1.5)
    t = np.float32([0.4, 2])
    layer(x, temperature=t, row_mask=row_mask)
    (loss,) = layer.losses
    known = np.mean(divergence(np.nan_to_num(x), t, row_mask=row_mask))
    np.testing.assert_allclose(loss, known, rtol=1e-6)


def test_the_divergence_trains_a_model_and_is_saved(rng, tmp_path):
    inputs = keras.Input([N, 1])
    logits = keras.layers.Dense(N)(inputs)
    layer = st.GumbelSinkhorn(0.5, n_iters=3, seed=0, kl_prior_temperature=2.0)
    model = keras.Model(inputs, layer(logits))
    model.compile("adam", "mse")
    x = rng.normal(size=(8, N, 1)).astype(np.float32)
    y = np.broadcast_to(np.eye(N, dtype=np.float32), (8, N, N))
    (value,) = model.fit(x, y, verbose=0).history["loss"]
    of_model = divergence(model.layers[1](x), 0.5, 1.0, 2.0)
    assert value > 0.9 * np.mean(of_model) > 1
    path = str(tmp_path / "model.keras")
    model.save(path)
    again = keras.models.load_model(path)
    assert again.layers[-1].kl_prior_temperature == 2.0
    np.testing.assert_allclose(
        again.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-5
    )


def test_without_noise_the_divergence_is_refused():
    with pytest.raises(ValueError, match="Received: noise_scale=0"):
        st.GumbelSinkhorn(noise_scale=0, kl_prior_temperature=1.0)


def test_sample_tells_whether_there_is_noise(rng):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    layer = st.GumbelSinkhorn(n_iters=3, seed=0)
    without = layer(x).numpy()
    np.testing.assert_array_equal(layer(x, training=True, sample=False), without)
    assert abs(layer(x, sample=True).numpy() - without).max() > 0.01


def test_an_exported_model_samples(tmp_path):
    inputs = keras.Input([N, N])
    layer = st.GumbelSinkhorn(0.5, n_iters=3, seed=0, kl_prior_temperature=1.0)
    model = keras.Model(inputs, layer(inputs, sample=True))
    model.export(str(tmp_path / "model"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "model"))
    x = np.zeros((2, N, N), np.float32)
    first, second = served.serve(x).numpy(), served.serve(x).numpy()
    assert abs(first - second).max() > 0.01
    np.testing.assert_allclose(first.sum(-2), 1, atol=1e-5)
