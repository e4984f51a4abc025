"""A temperature that is a trainable weight."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.one_layer import N, both, model_of, plan, predict


def loss_of(t, x, weight):
    """A loss with a known gradient in the temperature, in float64."""
    plan = st.sinkhorn(x, t, 3, jit_compile=False)
    return tf.reduce_sum(tf.cast(weight, plan.dtype) * plan)


@both
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_gradient_of_a_trainable_temperature(rng, logits, layer_class, policy):
    weight = rng.normal(size=logits.shape).astype(np.float32)
    layer = layer_class(0.6, n_iters=3, trainable_temperature=True, dtype=policy)
    x = tf.cast(logits, layer.compute_dtype)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weight * tf.cast(layer(x), tf.float32))
    gradient = tape.gradient(loss, layer.trainable_variables)
    assert len(gradient) == 1 and gradient[0].dtype == tf.float32
    wide = tf.cast(x, tf.float64)
    t, h = tf.constant(0.6, tf.float64), 1e-5
    difference = loss_of(t + h, wide, weight) - loss_of(t - h, wide, weight)
    rtol = 1e-4 if policy == "float32" else 0.02
    np.testing.assert_allclose(gradient[0], difference / (2 * h), rtol=rtol)


@both
def test_a_trainable_temperature_in_fit(tmp_path, logits, layer_class):
    settings = {"n_iters": 3, "trainable_temperature": True, "name": "it"}
    layer = layer_class(0.6, **settings)
    model = model_of(layer)
    assert layer.weights == model.trainable_weights == [layer.temperature]
    assert layer.temperature.path == "it/temperature"
    # Targets of a lower temperature pull it down, by the rate times the gradient.
    target = plan(logits, 0.3, 3)
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=False)
    mse = lambda t: np.mean((plan(np.float64(logits), np.float64(t), 3) - target) ** 2)
    gradient = (mse(0.6 + 1e-5) - mse(0.6 - 1e-5)) / 2e-5
    if layer_class is st.GumbelSinkhorn:
        layer.noise_scale = 0
    model.fit(logits, target, verbose=0)
    learned = float(layer.temperature)
    assert learned < 0.6
    np.testing.assert_allclose(learned, 0.6 - 0.5 * gradient, rtol=1e-4)
    np.testing.assert_allclose(layer.get_config()["temperature"], learned, rtol=1e-7)
    model.save(tmp_path / "model.keras")
    for again in (
        keras.models.clone_model(model),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        assert float(again.get_layer("it").temperature) == learned
        assert len(again.trainable_weights) == 1
    # As far as a step may go, it stays positive, and the rest goes on working.
    model.optimizer.learning_rate = 1e6
    model.fit(logits, target, verbose=0)
    assert 0 < float(layer.temperature) <= 1e-6
    assert np.isfinite(predict(model, logits)).all()
    layer.temperature = 0.6
    np.testing.assert_allclose(predict(model, logits), plan(logits, 0.6, 3), atol=1e-6)
    with pytest.raises(AttributeError, match="make a new layer"):
        layer.trainable_temperature = False


def test_a_frozen_layer_keeps_its_trainable_temperature(logits):
    layer = st.SinkhornLayer(0.6, n_iters=2, trainable_temperature=True)
    layer.trainable = False
    assert layer.trainable_weights == []
    inputs = keras.Input((N, N))
    model = keras.Model(inputs, layer(keras.layers.Dense(N)(inputs)))
    model.compile(keras.optimizers.SGD(10.0), "mse", jit_compile=False)
    model.fit(logits, np.zeros_like(logits), verbose=0)
    assert layer.temperature.numpy() == np.float32(0.6)


@pytest.mark.parametrize("gradient", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_restarts_a_temperature(gradient):
    layer = st.SinkhornLayer(0.6, trainable_temperature=True)
    layer.temperature = 0.2
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply([tf.constant(gradient)], layer.trainable_variables)
    assert layer.temperature.numpy() == np.float32(0.6)
    constraint = layer.temperature.constraint
    config = keras.saving.serialize_keras_object(constraint)
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
    assert again.get_config() == constraint.get_config()
