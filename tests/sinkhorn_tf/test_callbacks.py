import keras
import numpy as np
import pytest

import sinkhorn_tf as st

N = 4


class Recorder(keras.callbacks.Callback):
    """The temperatures that each batch was trained with."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = layers
        self.temperatures = []

    def on_train_batch_end(self, batch, logs=None):
        self.temperatures.append([float(x.temperature.numpy()) for x in self.layers])


def tempered_model(*layers, **options):
    items = keras.Input((N, 3))
    x = keras.layers.Dense(N)(items)
    for layer in layers:
        x = layer(x)
    model = keras.Model(items, x)
    model.compile("sgd", **{"loss": "mse", "jit_compile": False, **options})
    return model


def fit(model, *callbacks, epochs=2):
    rng = np.random.default_rng(0)
    items, targets = rng.normal(size=(8, N, 3)), rng.random(size=(8, N, N))
    return model.fit(
        items,
        targets,
        batch_size=4,
        epochs=epochs,
        callbacks=list(callbacks),
        verbose=0,
    )


@pytest.mark.parametrize(
    "schedule, expected",
    [
        (lambda step: 1 / (1 + step), [1, 1 / 2, 1 / 3, 1 / 4]),
        (
            keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5),
            [1, 1 / 2, 1 / 4, 1 / 8],
        ),
    ],
    ids=["callable", "LearningRateSchedule"],
)
def test_every_layer_follows_the_schedule(schedule, expected):
    layers = st.SinkhornLayer(n_iters=2), st.GumbelSinkhorn(n_iters=2)
    recorder = Recorder(*layers)
    history = fit(tempered_model(*layers), st.AnnealTemperature(schedule), recorder)
    np.testing.assert_allclose(recorder.temperatures, np.c_[expected, expected])
    np.testing.assert_allclose(history.history["temperature"], expected[1::2])


def test_layers_inside_nested_models_are_found():
    layer = st.SinkhornLayer(n_iters=2)
    inner = keras.Sequential([keras.Input((N, N)), layer])
    fit(tempered_model(inner), st.AnnealTemperature(lambda step: 0.25))
    assert layer.temperature.numpy() == 0.25


def test_only_the_given_layer_is_annealed():
    first, second = st.SinkhornLayer(n_iters=2), st.SinkhornLayer(n_iters=2)
    model = tempered_model(first, second)
    fit(model, st.AnnealTemperature(lambda step: 0.25, layer=second))
    assert first.temperature.numpy() == 1 and second.temperature.numpy() == 0.25


def test_a_second_fit_goes_on_with_the_schedule():
    layer = st.SinkhornLayer(n_iters=2)
    model, recorder = tempered_model(layer), Recorder(layer)
    for _ in range(2):
        callback = st.AnnealTemperature(lambda step: 1.0 + step)
        fit(model, callback, recorder, epochs=1)
    assert recorder.temperatures == [[1.0], [2.0], [3.0], [4.0]]


def test_model_without_a_temperature_is_an_error():
    with pytest.raises(ValueError, match="Received: model="):
        fit(tempered_model(st.Matching()), st.AnnealTemperature(lambda step: 1.0))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_schedule_without_a_positive_temperature_is_an_error(value):
    model = tempered_model(st.SinkhornLayer(n_iters=2))
    with pytest.raises(ValueError, match=f"Received: {value}"):
        fit(model, st.AnnealTemperature(lambda step: value))


def test_a_compiled_step_is_traced_once():
    traces = []

    def loss(y_true, y_pred):
        traces.append(None)
        return keras.ops.mean((y_true - y_pred) ** 2)

    layer = st.SinkhornLayer(n_iters=2)
    model = tempered_model(layer, loss=loss, jit_compile=True)
    fit(model, epochs=1)
    before = len(traces)
    fit(model, st.AnnealTemperature(lambda step: 1 / (1 + step)), epochs=4)
    assert len(traces) == before
    assert layer.temperature.numpy() == pytest.approx(1 / 10)


def test_a_schedule_is_a_function_and_a_layer_has_a_temperature():
    with pytest.raises(TypeError, match="Received: schedule=1.0"):
        st.AnnealTemperature(1.0)
    callback = st.AnnealTemperature(lambda step: 1.0, keras.layers.Dense(2))
    with pytest.raises(ValueError, match="layer must be a layer with a temperature"):
        callback.on_train_begin()


def test_a_temperature_may_be_assigned_before_and_after():
    layer = st.SinkhornLayer(n_iters=2)
    layer.temperature = 3.0
    model, recorder = tempered_model(layer), Recorder(layer)
    schedule = lambda step: 1 / (1 + step)
    fit(model, st.AnnealTemperature(schedule), recorder, epochs=1)
    layer.temperature = 0.3
    fit(model, recorder, epochs=1)
    fit(model, st.AnnealTemperature(schedule), recorder, epochs=1)
    np.testing.assert_allclose(
        recorder.temperatures, np.c_[[1, 1 / 2, 0.3, 0.3, 1 / 5, 1 / 6]]
    )
    assert layer.get_config()["temperature"] == pytest.approx(1 / 6)


class Holder(keras.layers.Layer):
    """A layer that holds others where Keras finds them."""

    def __init__(self):
        super().__init__()
        self.one = st.SinkhornLayer(n_iters=1)
        self.several = [st.GumbelSinkhorn(n_iters=1, trainable_temperature=True)]

    def call(self, x):
        return self.several[0](self.one(x))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = {"holder": Holder()}
        self.wrapped = keras.layers.TimeDistributed(st.SinkhornLayer(n_iters=1))

    def call(self, x):
        return self.wrapped(self.blocks["holder"](x)[:, None])[:, 0]


def test_layers_inside_other_layers_are_found():
    model = Subclassed()
    holder = model.blocks["holder"]
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(4, N, N)).astype("f")
    anneal = st.AnnealTemperature(lambda step: 0.25)
    model.fit(x, x, callbacks=[anneal], verbose=0)
    layers = [holder.one, holder.several[0], model.wrapped.layer]
    assert [float(layer.temperature) for layer in layers] == [0.25] * 3
    anneal = st.AnnealTemperature(lambda step: 0.5, layer=holder)
    model.fit(x, x, callbacks=[anneal], verbose=0)
    assert [float(layer.temperature) for layer in layers] == [0.5, 0.5, 0.25]


@pytest.mark.parametrize("layer", ["sinkhorn", 1.0, st.Matching()])
def test_what_has_no_temperature_is_named(layer):
    callback = st.AnnealTemperature(lambda step: 1.0, layer)
    with pytest.raises(ValueError, match="Received: layer=") as error:
        callback.on_train_begin()
    assert repr(layer) in str(error.value)


@pytest.mark.parametrize("value", [True, "a", None, 1j, [0.1], 1e-60])
def test_schedule_without_a_number_is_an_error(value):
    callback = st.AnnealTemperature(lambda step: value)
    callback.set_model(tempered_model(st.SinkhornLayer(n_iters=2)))
    callback.on_train_begin()
    with pytest.raises(ValueError, match="must give finite temperatures") as error:
        callback.on_train_batch_begin(0)
    assert f"Received: {value} at step 0" in str(error.value)
