"""Settings that are assigned count everywhere, or the assignment raises."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf.layers.dense_by_target import DenseByTarget
from sinkhorn_tf.layers.edge_features import EdgeFeatures
from sinkhorn_tf.layers.pair_attention import PairAttention

N = 3
DATA = pathlib.Path(__file__).parent / "data"
both = pytest.mark.parametrize("layer_class", [st.SinkhornLayer, st.GumbelSinkhorn])


@pytest.fixture
def logits(rng):
    return rng.normal(size=(2, N, N)).astype(np.float32)


def model_of(layer):
    inputs = keras.Input((N, N))
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse", jit_compile=False)
    return model


def plan(x, t, n_iters=2):
    return st.sinkhorn(x, t, n_iters, jit_compile=False).numpy()


def predict(model, x):
    return model.predict(x, verbose=0)


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


# Setting, value at first, another value.
FIXED = [
    ("n_iters", 2, 5),
    ("hard", False, True),
    ("tolerance", None, 0.3),
    ("gradient", "unrolled", "implicit"),
    ("n_samples", None, 2),
]


@both
@pytest.mark.parametrize("name, first, second", FIXED)
def test_settings_are_assigned_before_and_refused_after_compilation(
    logits, layer_class, name, first, second
):
    if name == "n_samples" and layer_class is st.SinkhornLayer:
        return
    layer, reference = (layer_class(0.3, n_iters=2) for _ in range(2))
    setattr(layer, name, first)
    setattr(layer, name, second)
    assert getattr(layer, name) == layer.get_config()[name] == second
    reference = layer_class(**{"temperature": 0.3, "n_iters": 2, name: second})
    assert {**reference.get_config(), "name": layer.name} == layer.get_config()
    model = model_of(layer)
    expected = reference(logits).numpy()
    for _ in range(2):
        np.testing.assert_allclose(layer(logits), expected, atol=1e-6)
        np.testing.assert_allclose(predict(model, logits), expected, atol=1e-6)
        with pytest.raises(AttributeError, match="make a new layer") as info:
            setattr(layer, name, first)
        assert f"Received: {name}={first!r}" in str(info.value)
        assert layer.get_config()[name] == second
    setattr(layer, name, second)


@pytest.mark.parametrize(
    "name, value, error",
    [
        ("n_iters", -1, ValueError),
        ("n_iters", 1.5, TypeError),
        ("n_iters", True, TypeError),
        ("hard", "no", TypeError),
        ("hard", None, TypeError),
        ("tolerance", 0, ValueError),
        ("tolerance", "a", ValueError),
        ("gradient", "exact", ValueError),
        ("n_samples", 0, ValueError),
        ("noise_scale", -1, ValueError),
        ("noise_scale", float("nan"), ValueError),
        ("noise_scale", True, TypeError),
        ("noise_scale", [1.0], TypeError),
        ("seed", 1.5, TypeError),
        ("seed", True, TypeError),
        ("trainable_temperature", "no", TypeError),
    ],
)
def test_bad_settings_are_named(name, value, error):
    layer = st.GumbelSinkhorn()
    before = layer.get_config()
    for refused in (
        lambda: st.GumbelSinkhorn(**{name: value}),
        lambda: setattr(layer, name, value),
    ):
        with pytest.raises(error, match=f"{name} must be") as info:
            refused()
        assert f"Received: {name}={value!r}" in str(info.value)
    assert layer.get_config() == before


def test_an_assigned_noise_scale_counts_everywhere(tmp_path, logits):
    def noisy(noise_scale):
        layer = st.GumbelSinkhorn(0.3, noise_scale, n_iters=2, seed=5)
        return layer(logits, training=True).numpy()

    layer = st.GumbelSinkhorn(0.3, n_iters=2, seed=5, name="it")
    model = model_of(layer)
    call = tf.function(lambda x: model(x, training=True))
    np.testing.assert_allclose(call(logits), noisy(1.0), atol=1e-6)
    layer.noise_scale = 0.4
    assert layer.noise_scale == layer.get_config()["noise_scale"] == 0.4
    # State that an export takes along, but no weight.
    assert layer.weights == [layer.temperature]
    assert "it/noise_scale" in [variable.path for variable in model.variables]
    layer.seed = 5
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    clone = keras.models.clone_model(model)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    weights_only = model_of(st.GumbelSinkhorn(0.3, n_iters=2, name="it"))
    weights_only.load_weights(tmp_path / "model.weights.h5")
    layer.seed = 5
    np.testing.assert_allclose(call(logits), noisy(0.4), atol=1e-6)
    for copy in (clone, loaded):
        np.testing.assert_allclose(copy(logits, training=True), noisy(0.4), atol=1e-6)
    assert weights_only.get_layer("it").noise_scale == 0.4
    layer.noise_scale = 0
    np.testing.assert_allclose(call(logits), plan(logits, 0.3), atol=1e-6)


def test_an_assigned_seed_starts_its_sequence_again(logits):
    layer = st.GumbelSinkhorn(n_iters=2, seed=np.int64(5))
    assert layer.get_config()["seed"] == 5
    call = tf.function(lambda x: layer(x, training=True))
    first, second = call(logits).numpy(), call(logits).numpy()
    assert np.abs(first - second).max() > 0.01
    layer.seed = 5
    np.testing.assert_array_equal(call(logits), first)
    layer.seed = 6
    assert layer.get_config()["seed"] == 6
    other = st.GumbelSinkhorn(n_iters=2, seed=6)(logits, training=True)
    np.testing.assert_allclose(call(logits), other, atol=1e-6)
    layer.seed = None
    assert np.abs(call(logits).numpy() - other.numpy()).max() > 0.01


@pytest.mark.parametrize("kind", ["keras", "weights.h5"])
def test_files_of_version_0_1_load(kind):
    if kind == "keras":
        model = keras.saving.load_model(DATA / "layers_0_1.keras", safe_mode=True)
    else:
        inputs = keras.Input((N, N), name="logits")
        layers = [
            st.SinkhornLayer(1.0, n_iters=2, name="sinkhorn"),
            st.GumbelSinkhorn(1.0, 0.5, 2, n_iters=1, seed=3, name="gumbel"),
        ]
        for layer in layers:
            layer.temperature = 0.9
        model = keras.Model(inputs, [layer(inputs) for layer in layers])
        model.load_weights(DATA / "layers_0_1.weights.h5")
    temperatures = [
        model.get_layer(name).get_config()["temperature"]
        for name in ("sinkhorn", "gumbel")
    ]
    assert temperatures == [0.4, 0.7]
    x = np.float32([[[0, 1, 2], [2, 0, 1], [1, 1, 0]]])
    sinkhorn, noisy = model(x, training=True)
    # As version 0.1 gave them.
    np.testing.assert_allclose(
        sinkhorn[0, 0], [0.00367262, 0.15587841, 0.8695323], atol=1e-6
    )
    np.testing.assert_allclose(
        noisy[0, :, 0],
        [[0.05351538, 0.1303008, 0.686568], [0.07069656, 0.34455615, 0.6498885]],
        atol=1e-6,
    )


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


@pytest.mark.parametrize(
    "layer, name, shapes",
    [
        (EdgeFeatures(2), "scales", (1, 2, 4, 4, 1)),
        (PairAttention(2), "heads", [(1, 2, 4), (1, 2, 2, 3)]),
        (DenseByTarget(2, 3), "units", [(1, 2, 4), (1,)]),
        (DenseByTarget(2, 3), "targets", [(1, 2, 4), (1,)]),
    ],
)
def test_settings_of_the_layers_of_networks(layer, name, shapes):
    with pytest.raises(ValueError, match=f"Received: {name}=0"):
        setattr(layer, name, 0)
    setattr(layer, name, 1)
    assert layer.get_config()[name] == 1
    if isinstance(shapes, tuple):
        inputs = tf.zeros(shapes)
    else:
        inputs = [tf.zeros(shapes[0]), tf.zeros(shapes[1])]
        inputs[1] = tf.cast(inputs[1], "int32") if len(shapes[1]) == 1 else inputs[1]
    before = layer(inputs).shape
    with pytest.raises(AttributeError, match=f"Received: {name}=2"):
        setattr(layer, name, 2)
    assert layer(inputs).shape == before


def test_logits_and_items_that_are_no_numbers_are_refused():
    for wrong in (np.eye(2) * 1j, np.array([["a", "b"]] * 2)):
        for layer in (st.SinkhornLayer(), st.GumbelSinkhorn()):
            with pytest.raises(TypeError, match="logits must be"):
                layer(wrong)
        with pytest.raises(TypeError, match="Restore needs real numbers"):
            st.Restore()([np.eye(2), wrong])


def test_a_setting_is_not_deleted():
    layer = st.SinkhornLayer()
    with pytest.raises(AttributeError, match="assigned, not deleted"):
        del layer.temperature
