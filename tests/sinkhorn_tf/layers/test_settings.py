"""Settings that are assigned count everywhere, or the assignment raises."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf.layers.dense_by_target import DenseByTarget
from sinkhorn_tf.layers.edge_features import EdgeFeatures
from sinkhorn_tf.layers.pair_attention import PairAttention
from tests.sinkhorn_tf.layers.one_layer import both, model_of, plan, predict

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
        ("kl_prior_temperature", 0, ValueError),
        ("kl_prior_temperature", float("inf"), ValueError),
        ("kl_prior_temperature", "warm", TypeError),
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


@pytest.mark.parametrize("layer_class", [st.SinkhornLayer, st.GumbelSinkhorn])
@pytest.mark.parametrize(
    "settings, error, received",
    [
        ({"temperature": 0}, ValueError, "temperature=0"),
        ({"temperature": float("nan")}, ValueError, "temperature=nan"),
        ({"n_iters": -1}, ValueError, "n_iters=-1"),
        ({"n_iters": 1.5}, TypeError, "n_iters=1.5"),
        ({"tolerance": 0}, ValueError, "tolerance=0"),
        ({"gradient": "exact"}, ValueError, "gradient='exact'"),
    ],
)
def test_errors_name_the_value_received(layer_class, settings, error, received):
    with pytest.raises(error, match=f"Received: {received}"):
        layer_class(**settings)


@pytest.mark.parametrize(
    "settings, error",
    [
        ({"noise_scale": -1}, ValueError),
        ({"n_samples": 0}, ValueError),
        ({"n_samples": 1.5}, TypeError),
    ],
)
def test_gumbel_errors_name_the_value_received(settings, error):
    ((name, value),) = settings.items()
    with pytest.raises(error, match=f"Received: {name}={value}"):
        st.GumbelSinkhorn(**settings)


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


def test_a_setting_is_not_deleted():
    layer = st.SinkhornLayer()
    with pytest.raises(AttributeError, match="assigned, not deleted"):
        del layer.temperature
