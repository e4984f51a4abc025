"""The temperature of a layer, and that of one call."""

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.references import plain_sinkhorn

N = 4


@pytest.mark.parametrize("layer_class", [st.SinkhornLayer, st.GumbelSinkhorn])
def test_temperature_argument_overrides(rng, layer_class):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    layer = layer_class(temperature=1.0, n_iters=3)
    np.testing.assert_allclose(
        layer(x, temperature=0.2), plain_sinkhorn(x, 0.2), atol=1e-6
    )
    each = tf.constant([0.2, 0.5, 2.0])
    np.testing.assert_allclose(
        layer(x, temperature=each), plain_sinkhorn(x, each), atol=1e-6
    )
    assert layer.temperature.numpy() == 1
    with pytest.raises(ValueError, match="temperature=-1"):
        layer(x, temperature=-1)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("layer_class", [st.SinkhornLayer, st.GumbelSinkhorn])
def test_temperature_keeps_its_precision_in_mixed_precision(rng, layer_class, policy):
    dtype = policy.removeprefix("mixed_")
    x = tf.cast(1e-3 * rng.normal(size=(2, N, N)), dtype)
    # Rounds to 0.0009995 in float16, to 0.000999 in bfloat16.
    t = 1.0001e-3
    exact = plain_sinkhorn(tf.cast(x, tf.float32), np.float32([t, t]), 1)
    expected = tf.cast(exact, dtype)
    layer = layer_class(temperature=t, n_iters=1, dtype=policy)
    temperatures = tf.constant([t, t])
    for output in (
        layer(x),
        layer(x, temperature=temperatures),
        layer(x, temperature=t),
    ):
        np.testing.assert_array_equal(output, expected)
    # Far below what float16 can hold.
    tiny = layer(x, temperature=tf.constant([1e-9, 1e-9]))
    assert np.isfinite(tf.cast(tiny, tf.float32)).all()


@pytest.mark.parametrize(
    "layer, shape",
    [
        (st.SinkhornLayer(n_iters=1), (5, 3, N, N)),
        (st.GumbelSinkhorn(n_iters=1, n_samples=2), (5, 3, 2, N, N)),
    ],
)
def test_declared_shape_follows_a_temperature_with_more_dimensions(layer, shape):
    x, t = np.zeros((3, N, N), np.float32), np.ones((5, 1), np.float32)
    assert layer(x, temperature=tf.constant(t)).shape == shape
    declared = layer.compute_output_shape(x.shape, temperature_shape=t.shape)
    assert tuple(declared) == shape


def test_temperature_variable_changes_without_retracing(rng):
    layer = st.SinkhornLayer(n_iters=3)
    traces = []

    @tf.function(jit_compile=True)
    def call(x):
        traces.append(None)
        return layer(x)

    x = tf.constant(rng.normal(size=(3, N, N)), tf.float32)
    for t in (1.0, 0.5, 0.25):
        layer.temperature.assign(t)
        np.testing.assert_allclose(call(x), plain_sinkhorn(x, t), atol=1e-6)
    assert len(traces) == 1
    assert not layer.temperature.trainable
