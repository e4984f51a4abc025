import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from tensorflow.core.protobuf import saved_model_pb2

import sinkhorn_tf as st

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


SINKHORN = {
    "temperature": 0.4,
    "n_iters": 1,
    "tolerance": 1e-3,
    "gradient": "implicit",
    "hard": True,
}
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


def plain_sinkhorn(x, t, n_iters=3):
    return st.sinkhorn(x, t, n_iters, jit_compile=False).numpy()


def hard_matrices(x):
    return np.array([np.eye(N)[linear_sum_assignment(-each)[1]] for each in x])


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


@pytest.fixture(scope="module")
def whole_model():
    """Every layer in one model, with a temperature changed after construction."""
    items, t = keras.Input((N, 3), name="items"), keras.Input((), name="t")
    logits = keras.layers.Dense(N)(items)
    gumbel = st.GumbelSinkhorn(0.2, 0.5, n_samples=2, n_iters=1, seed=3)
    gumbel.temperature.assign(0.7)
    outputs = [
        st.SinkhornLayer(**SINKHORN)(logits),
        st.SinkhornLayer(n_iters=2)(logits, temperature=t),
        gumbel(logits),
        st.Matching()(logits),
        st.PartialSinkhorn(0.3, trainable_temperature=True, n_iters=2)(logits)[1],
        st.SoftTopK(2, 0.6)(logits),
    ]
    outputs.append(st.Restore()([outputs[1], items]))
    return keras.Model([items, t], outputs)


@pytest.fixture(scope="module")
def whole_inputs():
    rng = np.random.default_rng(1)
    items = rng.normal(size=(3, N, 3)).astype(np.float32)
    return {"items": items, "t": np.float32([0.3, 0.5, 1])}


def answers(model, inputs):
    outputs = tf.function(model)([inputs["items"], inputs["t"]])
    return [output.numpy() for output in outputs]


def test_keras_file_loads_in_safe_mode(tmp_path, whole_model, whole_inputs):
    whole_model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    temperatures = sorted(
        float(layer.temperature.numpy())
        for layer in loaded.layers
        if hasattr(layer, "temperature")
    )
    assert temperatures == pytest.approx([0.4, 0.6, 0.7, 1.0, 1.0])
    expected = answers(whole_model, whole_inputs)
    for a, e in zip(answers(loaded, whole_inputs), expected, strict=True):
        np.testing.assert_allclose(a, e, atol=1e-6)


def test_keras_file_loads_in_a_fresh_process(
    tmp_path, run_python, whole_model, whole_inputs
):
    whole_model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "inputs.npz", **whole_inputs)
    done = run_python("""
        import keras, numpy as np, tensorflow as tf, sinkhorn_tf

        model = keras.saving.load_model("model.keras", safe_mode=True)
        inputs = np.load("inputs.npz")
        outputs = tf.function(model)([inputs["items"], inputs["t"]])
        np.savez("outputs.npz", *[output.numpy() for output in outputs])
    """)
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    expected = answers(whole_model, whole_inputs)
    for i, e in enumerate(expected):
        np.testing.assert_allclose(outputs[f"arr_{i}"], e, atol=1e-6)


def test_export_runs_without_the_package_and_without_xla(
    tmp_path, run_python, whole_model, whole_inputs
):
    whole_model.export(tmp_path / "exported", verbose=False)
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((tmp_path / "exported" / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    assert len(functions) > 0
    assert not any(f.attr["_XlaMustCompile"].b for f in functions)
    np.savez(tmp_path / "inputs.npz", **whole_inputs)
    done = run_python(
        """
        import numpy as np, tensorflow as tf

        try:
            import sinkhorn_tf
        except ModuleNotFoundError:
            pass
        else:
            raise SystemExit("the package could be imported")
        model = tf.saved_model.load("exported")
        inputs = np.load("inputs.npz")
        outputs = model.serve([tf.constant(inputs["items"]), tf.constant(inputs["t"])])
        np.savez("outputs.npz", *[output.numpy() for output in outputs])
        """,
        without_package=True,
    )
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "outputs.npz")
    for i, e in enumerate(answers(whole_model, whole_inputs)):
        np.testing.assert_allclose(outputs[f"arr_{i}"], e, atol=1e-6)


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


def test_matching_gives_matrices_without_a_gradient(rng):
    x = rng.normal(size=(4, N, N)).astype(np.float32)
    x[1, 0, 0] = np.nan
    logits = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        matrix = st.Matching()(logits)
        loss = tf.reduce_sum(matrix) + tf.reduce_sum(0 * logits[0])
    clean = [0, 2, 3]
    np.testing.assert_array_equal(matrix.numpy()[clean], hard_matrices(x[clean]))
    assert (matrix.numpy()[1] == 0).all()
    assert (tape.gradient(loss, logits).numpy() == 0).all()


def test_matching_is_not_rounded_by_mixed_precision():
    x = np.float32([[[1.0, 1.0001], [1.0, 1.0]], [[1.0001, 1.0], [1.0, 1.0]]])
    matrix = st.Matching(dtype="mixed_float16")(x)
    np.testing.assert_array_equal(matrix, [[[0, 1], [1, 0]], [[1, 0], [0, 1]]])


@pytest.mark.parametrize("feature", [(), (3,), (2, 3, 1)])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_restore_is_the_transposed_matrix_times_items(rng, batch, feature):
    soft = rng.random(size=(*batch, N, N)).astype(np.float32)
    items = rng.normal(size=(*batch, N, *feature)).astype(np.float32)
    restored = st.Restore()([soft, items])
    flat = items.reshape(*batch, N, -1)
    expected = np.swapaxes(soft, -1, -2) @ flat
    np.testing.assert_allclose(restored, expected.reshape(items.shape), atol=1e-6)


def test_restore_of_a_matching_equals_apply(rng):
    x = rng.normal(size=(3, N, N)).astype(np.float32)
    items = rng.normal(size=(3, N, 2)).astype(np.float32)
    restored = st.Restore()([st.Matching()(x), items])
    perm = st.matching(x, jit_compile=False)
    np.testing.assert_array_equal(restored, st.permutations.apply(perm, items))


def test_restore_with_an_axis_of_samples(rng):
    soft = rng.random(size=(3, 5, N, N)).astype(np.float32)
    items = rng.normal(size=(3, N, 2)).astype(np.float32)
    restored = st.Restore()([soft, items[:, None]])
    expected = np.swapaxes(soft, -1, -2) @ items[:, None]
    np.testing.assert_allclose(restored, expected, atol=1e-6)
    symbolic = keras.Input((5, N, N)), keras.Input((1, N, 2))
    assert st.Restore()(list(symbolic)).shape == (None, 5, N, 2)


def test_restore_of_integer_items():
    restored = st.Restore()([np.eye(3, dtype=np.float32)[[2, 0, 1]], np.arange(3)])
    np.testing.assert_array_equal(restored, [1, 2, 0])


def test_restore_with_an_unknown_number_of_items(rng):
    permutation = keras.Input((None, None))
    restored = st.Restore()([permutation, keras.Input((N, 2))])
    assert restored.shape == (None, None, 2)


@pytest.mark.parametrize(
    "permutation, items",
    [((2, N, N), (2, 3, 1)), ((2, 5, N, N), (2, N, 1)), ((2, N, N), (2,))],
)
def test_restore_of_shapes_that_do_not_fit_is_an_error(permutation, items):
    inputs = [np.zeros(permutation, np.float32), np.zeros(items, np.float32)]
    with pytest.raises(ValueError, match="Received: "):
        st.Restore()(inputs)
    with pytest.raises(ValueError, match="Received: "):
        st.Restore()([keras.Input(permutation[1:]), keras.Input(items[1:])])


@pytest.mark.parametrize("layer_class", [st.SinkhornLayer, st.GumbelSinkhorn])
def test_unknown_number_of_items(rng, layer_class):
    logits = keras.Input((None, None))
    model = keras.Model(logits, layer_class(n_iters=3)(logits))
    assert model.output_shape == (None, None, None)
    x = rng.normal(size=(2, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(model(x), plain_sinkhorn(x, 1.0), atol=1e-6)


def test_restore_takes_integer_permutations_and_refuses_what_is_no_pair():
    swap = st.permutations.to_matrix([1, 0], tf.int32)
    restored = st.Restore()([swap, np.float32([0.5, 0.25])])
    np.testing.assert_array_equal(restored, [0.25, 0.5])
    with pytest.raises(ValueError, match=r"needs \[permutation, items\]"):
        st.Restore()(tf.zeros([2, 3, 3]))
    with pytest.raises(ValueError, match=r"Received: shapes \(2, 3\) and \(1, 3, 1\)"):
        st.Restore()([tf.zeros([2, 3], tf.int32), tf.zeros([1, 3, 1])])
    with pytest.raises(ValueError, match=r"Received: shapes \(3,\) and \(3, 1\)"):
        st.Restore()([tf.zeros([3], tf.int32), tf.zeros([3, 1])])
