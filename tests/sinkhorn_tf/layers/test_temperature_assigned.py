"""A temperature that is assigned counts everywhere, or the assignment raises."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.one_layer import both, model_of, plan, predict


@both
@pytest.mark.parametrize("change", ["assign", "variable"])
def test_an_assigned_temperature_counts_everywhere(
    tmp_path, logits, layer_class, change
):
    layer = layer_class(0.7, n_iters=2, name="it")
    model = model_of(layer)
    np.testing.assert_allclose(predict(model, logits), plan(logits, 0.7), atol=1e-6)
    variable = layer.temperature
    if change == "assign":
        layer.temperature = 0.05
    else:
        layer.temperature.assign(0.05)
    assert layer.temperature is variable and variable.numpy() == np.float32(0.05)
    assert layer.weights == [variable] and variable.path == "it/temperature"
    assert layer.get_config()["temperature"] == 0.05
    expected = plan(logits, 0.05)
    np.testing.assert_allclose(layer(logits), expected, atol=1e-6)
    np.testing.assert_allclose(model(logits), expected, atol=1e-6)
    np.testing.assert_allclose(predict(model, logits), expected, atol=1e-6)
    assert model.evaluate(logits, expected, verbose=0) < 1e-12
    clone = keras.models.clone_model(model)
    np.testing.assert_allclose(clone(logits), expected, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(logits), expected, atol=1e-6)
    assert loaded.get_layer("it").get_config()["temperature"] == 0.05
    model.save_weights(tmp_path / "model.weights.h5")
    layer.temperature = 2
    assert layer.get_config()["temperature"] == 2
    model.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(predict(model, logits), expected, atol=1e-6)
    assert layer.get_config()["temperature"] == 0.05


@both
def test_a_temperature_assigned_before_the_first_call(logits, layer_class):
    layer = layer_class(n_iters=2)
    layer.temperature = 1 / 3
    assert layer.get_config()["temperature"] == 1 / 3
    expected = plan(logits, 1 / 3)
    np.testing.assert_allclose(layer(logits), expected, atol=1e-6)
    np.testing.assert_allclose(predict(model_of(layer), logits), expected, atol=1e-6)


@both
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
@pytest.mark.parametrize(
    "value, expected",
    [
        (0.1, 0.1),
        (2, 2),
        (np.float64(0.1), 0.1),
        (np.float32(0.25), 0.25),
        (np.int64(3), 3),
        (np.array(0.1), 0.1),
        (lambda: tf.constant(0.125), 0.125),
        (lambda: tf.constant(0.5, tf.bfloat16), 0.5),
        (lambda: tf.constant(3), 3),
        (lambda: tf.Variable(0.75), 0.75),
        (lambda: keras.Variable(0.375), 0.375),
    ],
)
def test_values_of_a_temperature(layer_class, dtype, value, expected):
    value = value() if callable(value) else value
    assigned = layer_class(dtype=dtype)
    assigned.temperature = value
    for layer in (assigned, layer_class(value, dtype=dtype)):
        wide = np.float64 if dtype == "float64" else np.float32
        assert layer.temperature.dtype == wide.__name__
        assert layer.temperature.numpy() == wide(expected)
        assert layer.get_config()["temperature"] == expected
        assert layer.weights == [layer.temperature]


NOT_POSITIVE = [float("nan"), 0, -1, float("inf"), 1e-60, 1e60, 10**400, np.float32(0)]
NOT_A_NUMBER = [True, np.bool_(True), "a", 1j, [0.1, 0.2], None, np.array([0.1])]


@both
@pytest.mark.parametrize(
    "value, error",
    [
        *((value, ValueError) for value in NOT_POSITIVE),
        *((value, TypeError) for value in NOT_A_NUMBER),
    ],
    ids=repr,
)
def test_bad_temperatures_are_named_and_not_taken(logits, layer_class, value, error):
    layer = layer_class(0.5)
    for refused in (
        lambda: layer_class(value),
        lambda: setattr(layer, "temperature", value),
    ):
        with pytest.raises(error, match="temperature must be") as info:
            refused()
        assert f"Received: temperature={value!r}" in str(info.value)
    assert layer.temperature.numpy() == 0.5
    if not isinstance(value, (list, np.ndarray)) and value is not None:
        with pytest.raises((TypeError, ValueError), match="temperature must be"):
            layer(logits, temperature=value)


def test_a_temperature_of_another_layer_is_copied(logits):
    first, second = st.SinkhornLayer(0.25), st.SinkhornLayer(0.5)
    second(logits)
    second.temperature = first.temperature
    first.temperature = 4.0
    assert second.temperature.numpy() == 0.25
    assert len(second.weights) == 1
    second.temperature *= 2
    assert second.temperature.numpy() == 0.5


def test_a_temperature_assigned_inside_a_graph(logits):
    layer = st.SinkhornLayer(0.8, n_iters=2)

    @tf.function(jit_compile=True)
    def cool(factor):
        layer.temperature = layer.temperature * factor
        assert layer.get_config()["temperature"] == 0.8
        return layer(logits)

    np.testing.assert_allclose(cool(tf.constant(0.5)), plan(logits, 0.4), atol=1e-6)
    assert layer.get_config()["temperature"] == 0.4
    assert np.isnan(cool(tf.constant(-1.0))).all()


def test_config_without_a_valid_temperature_has_the_last_valid_one():
    layer = st.SinkhornLayer(0.8)
    layer.temperature = 0.3
    layer.temperature.assign(-1.0)
    assert layer.get_config()["temperature"] == 0.3
    layer.temperature = 0.2
    assert layer.temperature.numpy() == np.float32(0.2)


def test_a_subclass_may_make_its_temperature_anew(logits):
    class Own(st.SinkhornLayer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.temperature = self.add_weight(
                name="own", shape=(), initializer="ones", trainable=True
            )

    layer = Own(temperature=0.3, n_iters=2)
    np.testing.assert_allclose(layer(logits), plan(logits, 1.0), atol=1e-6)
    assert layer.trainable_weights == [layer.temperature]
