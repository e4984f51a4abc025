"""The layer that selects the k largest values."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

N = 6


@pytest.fixture
def values(rng):
    return rng.normal(size=(3, N)).astype(np.float32)


def plain(values, k, t, **options):
    return st.soft_top_k(values, k, t, jit_compile=False, **options)


def test_it_is_the_operator(values):
    layer = st.SoftTopK(2, temperature=0.3)
    call = tf.function(layer)
    np.testing.assert_allclose(call(values), plain(values, 2, 0.3), atol=1e-6)
    t = np.float32([0.1, 1, 10])
    shares = tf.function(layer)(values, temperature=t)
    np.testing.assert_allclose(shares, plain(values, 2, t), atol=1e-6)
    layer.temperature = 1e-4
    largest = np.argsort(-values, axis=1)[:, :2]
    expected = np.zeros_like(values)
    np.put_along_axis(expected, largest, 1, axis=1)
    np.testing.assert_allclose(call(values), expected, atol=1e-6)


def test_masks(values):
    exists = np.arange(N) < np.array([[6], [4], [1]])
    poisoned = np.where(exists, values, np.nan).astype(np.float32)
    layer = st.SoftTopK(2, temperature=0.3)
    expected = plain(values, 2, 0.3, mask=exists)
    shares = tf.function(layer)(poisoned, mask=exists)
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    assert (expected.numpy()[~exists] == 0).all()
    # The mask that Keras attaches counts too, with further tensors beside it.
    ids, t = keras.Input((N,), dtype="int32"), keras.Input(())
    scores = keras.layers.Lambda(
        lambda x: x[..., 0], output_shape=(N,), mask=lambda inputs, mask: mask
    )(keras.layers.Embedding(9, 1, mask_zero=True)(ids))
    model = keras.Model([ids, t], [layer(scores, temperature=t), scores])
    tokens = np.where(exists, [1, 2, 3, 4, 5, 6], 0)
    temperature = np.full(3, 0.3, np.float32)
    shares, values = model([tokens, temperature])
    np.testing.assert_allclose(shares, plain(values, 2, 0.3, mask=exists), atol=1e-6)
    np.testing.assert_array_equal(shares._keras_mask, exists)


def test_shapes_and_dtypes(values):
    layer = st.SoftTopK(1, dtype="mixed_float16")
    assert layer.temperature.dtype == "float32"
    assert tf.function(layer)(values).dtype == "float16"
    assert layer.compute_output_shape((None, N)) == (None, N)
    assert layer.compute_output_shape((1, N), (3,)) == (3, N)
    inputs = keras.Input((None,))
    assert layer(inputs).shape == (None, None)
    integers = np.array([3, 1, 2])
    expected = plain(np.float32([3, 1, 2]), 1, 1.0)
    np.testing.assert_allclose(layer(integers), expected, atol=1e-3)


def test_the_temperature_is_annealed_and_learnt(values):
    layers = st.SoftTopK(2), st.SoftTopK(2, trainable_temperature=True)
    inputs = keras.Input((N,))
    model = keras.Model(inputs, [layer(inputs) for layer in layers])
    model.compile("sgd", "mse", jit_compile=False)
    anneal = st.AnnealTemperature(lambda step: 0.5 / (step + 1), layers[0])
    targets = [np.zeros_like(values)] * 2
    model.fit(values, targets, batch_size=1, verbose=0, callbacks=[anneal])
    annealed, learnt = (float(layer.temperature.numpy()) for layer in layers)
    assert annealed == pytest.approx(0.5 / 3) and 0 < learnt != 1
    assert layers[1].get_config()["temperature"] == pytest.approx(learnt)


@pytest.mark.parametrize("k", [-1, 1.5, None, "2", True, [1]])
def test_a_bad_k_is_one_sentence(k):
    with pytest.raises((TypeError, ValueError), match="k must be .* Received: k="):
        st.SoftTopK(k)


def test_k_is_fixed_once_a_graph_has_it(values):
    layer = st.SoftTopK(2)
    layer.k = 3
    np.testing.assert_allclose(layer(values), plain(values, 3, 1.0), atol=1e-6)
    tf.function(layer)(values)
    with pytest.raises(AttributeError, match="k is part of what was built"):
        layer.k = 1
    with pytest.raises(ValueError, match="k must be from 0 to N = 6"):
        st.SoftTopK(7)(values)
