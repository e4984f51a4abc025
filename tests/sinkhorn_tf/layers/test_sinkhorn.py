"""Layers give the plans of Sinkhorn's operator, soft or hard."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.references import hard_matrices, plain_sinkhorn

N = 4


def test_sequential_model(rng):
    model = keras.Sequential(
        [keras.Input((N, 3)), keras.layers.Dense(N), st.SinkhornLayer(n_iters=2)]
    )
    assert model.output_shape == (None, N, N)
    plan = model(rng.normal(size=(2, N, 3)).astype(np.float32)).numpy()
    np.testing.assert_allclose(plan.sum(-2), 1, atol=1e-5)


def test_sinkhorn_layer_is_the_operator(rng):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    layer = st.SinkhornLayer(temperature=0.2, n_iters=3)
    np.testing.assert_allclose(layer(x), plain_sinkhorn(x, 0.2), atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        st.SinkhornLayer(0.5, 2, hard=True),
        st.GumbelSinkhorn(0.5, n_iters=2, hard=True),
    ],
)
def test_hard_is_matching_forward_and_soft_backward(rng, layer):
    x = tf.constant(rng.normal(size=(3, N, N)), tf.float32)
    weights = rng.normal(size=(3, N, N)).astype(np.float32)
    gradients = []
    for hard in (True, False):
        layer.hard = hard
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
            loss = tf.reduce_sum(weights * output)
        gradients.append(tape.gradient(loss, x).numpy())
        if hard:
            np.testing.assert_array_equal(output, hard_matrices(x.numpy()))
    np.testing.assert_array_equal(*gradients)
    assert np.abs(gradients[0]).max() > 0


@pytest.mark.parametrize("layer_class", [st.SinkhornLayer, st.GumbelSinkhorn])
def test_unknown_number_of_items(rng, layer_class):
    logits = keras.Input((None, None))
    model = keras.Model(logits, layer_class(n_iters=3)(logits))
    assert model.output_shape == (None, None, None)
    x = rng.normal(size=(2, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(model(x), plain_sinkhorn(x, 1.0), atol=1e-6)
