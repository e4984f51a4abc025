import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.not_default import SINKHORN

N = 4


def first(output):
    """The plan of a layer that returns more than it; also of shapes."""
    is_several = isinstance(output, tuple) and not isinstance(output[0], int)
    return output[0] if is_several else output


def on_logits(layer):
    """A functional model from items `[B, N, 3]` through `layer`."""
    items = keras.Input((N, 3))
    logits = keras.layers.Dense(N)(items)
    result = first(layer(logits))
    if isinstance(layer, st.Matching):
        # By itself it would leave the weights without a gradient.
        result = keras.layers.Add()([result, logits])
    return keras.Model(items, result)


def on_items(layer):
    items = keras.Input((N, 3))
    soft = keras.layers.Dense(N, activation="softmax")(items)
    return keras.Model(items, layer([soft, items]))


# Class, settings that are not the default ones, model, output shape after the batch.
BATTERY = {
    "sinkhorn": (st.SinkhornLayer, {"n_iters": 2}, on_logits, (N, N)),
    "sinkhorn set": (st.SinkhornLayer, SINKHORN, on_logits, (N, N)),
    "gumbel": (st.GumbelSinkhorn, {"n_iters": 2}, on_logits, (N, N)),
    "gumbel set": (
        st.GumbelSinkhorn,
        {**SINKHORN, "noise_scale": 0.5, "n_samples": 2, "seed": 3},
        on_logits,
        (2, N, N),
    ),
    "partial": (st.PartialSinkhorn, {"n_iters": 2}, on_logits, (N, N)),
    "partial set": (
        st.PartialSinkhorn,
        {
            "unmatched_score": 0.25,
            "temperature": 0.4,
            "n_iters": 1,
            "tolerance": 1e-3,
            "gradient": "implicit",
            "trainable_temperature": True,
        },
        on_logits,
        (N, N),
    ),
    "top k": (st.SoftTopK, {"k": 2}, on_logits, (N, N)),
    "matching": (st.Matching, {}, on_logits, (N, N)),
    "restore": (st.Restore, {}, on_items, (N, 3)),
}
every_layer = pytest.mark.parametrize(
    "case", BATTERY.values(), ids=[name.replace(" ", "_") for name in BATTERY]
)


def test_battery_holds_every_public_layer():
    public = {getattr(st, name) for name in st.__all__ if name[0].isupper()}
    layers = {c for c in public if issubclass(c, keras.layers.Layer)}
    assert layers == {case[0] for case in BATTERY.values()}


@every_layer
def test_symbolic_and_eager_calls_have_the_declared_shape(rng, case):
    layer_class, settings, build, shape = case
    model = build(layer_class(**settings))
    assert model.output_shape == (None, *shape)
    output = model(rng.normal(size=(5, N, 3)).astype(np.float32))
    assert output.shape == (5, *shape) and output.dtype == "float32"
    layer = layer_class(**settings)
    input_shape = (2, 7, N, N)
    if layer_class is st.Restore:
        input_shape = [input_shape, (2, 7, N, 3)]
    assert first(layer.compute_output_shape(input_shape)) == (2, 7, *shape)


@every_layer
def test_config_round_trip_keeps_the_settings(case):
    layer_class, settings, _, _ = case
    layer = layer_class(**settings, name="it")
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
    assert type(again) is layer_class
    assert again.get_config() == layer.get_config()
    assert {**layer.get_config(), **settings} == layer.get_config()


@every_layer
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_mixed_precision(rng, case, policy):
    layer_class, settings, _, shape = case
    layer = layer_class(**settings, dtype=policy)
    inputs = rng.normal(size=(2, N, N)).astype(np.float32)
    if layer_class is st.Restore:
        inputs = [inputs, inputs[..., :3]]
    output = first(tf.function(layer)(inputs))
    assert output.dtype == policy.removeprefix("mixed_")
    assert output.shape == (2, *shape)
    if hasattr(layer, "temperature"):
        wide = "float64" if policy == "float64" else "float32"
        assert layer.temperature.dtype == wide
    symbolic = tf.nest.map_structure(lambda x: keras.Input(x.shape[1:]), inputs)
    assert first(layer(symbolic)).dtype == layer.compute_dtype


@pytest.mark.parametrize(
    "name, jit_compile",
    [
        # XLA takes longest for what the other settings of a layer already cover.
        pytest.param(
            name,
            jit_compile,
            marks=[pytest.mark.slow] * (name.endswith("set") and jit_compile is True),
        )
        for name in BATTERY
        for jit_compile in (True, False, "auto")
    ],
)
def test_one_step_of_fit(rng, name, jit_compile):
    layer_class, settings, build, shape = BATTERY[name]
    keras.utils.set_random_seed(0)
    model = build(layer_class(**settings))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    before = model.get_weights()[0]
    items = rng.normal(size=(6, N, 3)).astype(np.float32)
    targets = rng.normal(size=(6, *shape)).astype(np.float32)
    history = model.fit(items, targets, batch_size=6, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(model.get_weights()[0]).all()
    assert np.abs(model.get_weights()[0] - before).max() > 0


def test_logits_and_items_that_are_no_numbers_are_refused():
    for wrong in (np.eye(2) * 1j, np.array([["a", "b"]] * 2)):
        for layer in (st.SinkhornLayer(), st.GumbelSinkhorn()):
            with pytest.raises(TypeError, match="logits must be"):
                layer(wrong)
        with pytest.raises(TypeError, match="Restore needs real numbers"):
            st.Restore()([np.eye(2), wrong])
