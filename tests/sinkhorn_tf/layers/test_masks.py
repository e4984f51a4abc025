"""Layers on items and positions that are not as many, or do not all exist."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st

B, N, M = 3, 5, 4
SETTINGS = {"temperature": 0.5, "n_iters": 2}
LAYERS = {
    "sinkhorn": lambda **k: st.SinkhornLayer(**SETTINGS, **k),
    "hard": lambda **k: st.SinkhornLayer(**SETTINGS, hard=True, **k),
    "gumbel": lambda **k: st.GumbelSinkhorn(**SETTINGS, **k),
    "samples": lambda **k: st.GumbelSinkhorn(**SETTINGS, n_samples=2, seed=1, **k),
    "matching": lambda **k: st.Matching(**k),
}
two_layers = pytest.mark.parametrize("name", ["sinkhorn", "samples"])


@pytest.fixture
def logits(rng):
    return rng.normal(size=(B, N, M)).astype(np.float32)


@pytest.fixture
def row_mask():
    return np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 1]], bool)


@pytest.fixture
def col_mask():
    return np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0]], bool)


def soft_plan(x):
    """Iterations of a small matrix and its slack row or column."""
    n, m = x.shape
    plan = np.exp(np.pad(x / 0.5, [(0, n < m), (0, m < n)]))
    rows, columns = np.ones((len(plan), 1)), np.ones(plan.shape[1])
    if n != m:
        rows[n:], columns[m:] = m - n, n - m
    for _ in range(SETTINGS["n_iters"]):
        plan *= rows / plan.sum(1, keepdims=True)
        plan *= columns / plan.sum(0)
    return plan[:n, :m]


def hard_plan(x):
    plan = np.zeros_like(x)
    plan[linear_sum_assignment(-x)] = 1
    return plan


def expected_plan(name, x, row_mask=None, col_mask=None):
    """The plan of each submatrix in its place; the same for all samples."""
    row_mask = np.ones(x.shape[:-1], bool) if row_mask is None else row_mask
    ones = np.ones((len(x), x.shape[-1]), bool)
    col_mask = ones if col_mask is None else col_mask
    plan = np.zeros(x.shape)
    solve = hard_plan if name in ("hard", "matching") else soft_plan
    for i, pair in enumerate(zip(row_mask, col_mask, strict=True)):
        if all(mask.any() for mask in pair):
            index = (i, *np.ix_(*pair))
            plan[index] = solve(np.float64(x[index]))
    return np.repeat(plan[:, None], 2, 1) if name == "samples" else plan


def poisoned(x, row_mask, col_mask):
    x = np.where(row_mask[..., None] & col_mask[..., None, :], x, np.nan)
    return np.where(row_mask[..., None], x, np.inf).astype(np.float32)


@pytest.mark.parametrize(
    "name, symbolic", [*((name, False) for name in LAYERS), ("samples", True)]
)
def test_masks_as_call_arguments(name, symbolic, logits, row_mask, col_mask):
    layer = LAYERS[name]()
    x = poisoned(logits, row_mask, col_mask)
    if symbolic:
        inputs = [
            keras.Input((N, M)),
            keras.Input((N,), dtype="bool"),
            keras.Input((M,), dtype="bool"),
        ]
        result = layer(inputs[0], row_mask=inputs[1], col_mask=inputs[2])
        samples = (2,) if name == "samples" else ()
        assert result.shape == (None, *samples, N, M)
        plan = keras.Model(inputs, result)([x, row_mask, col_mask])
    else:
        plan = layer(x, row_mask=row_mask, col_mask=col_mask)
    expected = expected_plan(name, logits, row_mask, col_mask)
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    rows = np.broadcast_to(
        row_mask[:, None] if name == "samples" else row_mask, plan.shape[:-1]
    )
    np.testing.assert_array_equal(plan._keras_mask, rows)


@two_layers
def test_rectangles_and_masks_that_broadcast(name, logits):
    layer = LAYERS[name]()
    np.testing.assert_allclose(layer(logits), expected_plan(name, logits), atol=1e-5)
    row = [True, True, False, True, True]
    plan = layer(logits, row_mask=row)
    expected = expected_plan(name, logits, np.broadcast_to(row, (B, N)))
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    assert plan._keras_mask.shape == plan.shape[:-1]
    # One problem with three masks.
    columns = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 0]], bool)
    plan = layer(logits[:1], col_mask=columns)
    expected = expected_plan(name, logits[:1].repeat(3, 0), None, columns)
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    shape = layer.compute_output_shape((1, N, M), col_mask_shape=(3, M))
    assert tuple(shape) == tuple(plan.shape)


@pytest.mark.parametrize("name", ["hard", "samples", "matching"])
def test_the_gradient_of_what_does_not_exist_is_zero(name, logits, row_mask, col_mask):
    x = tf.constant(poisoned(logits, row_mask, col_mask))
    layer = LAYERS[name]()
    with tf.GradientTape() as tape:
        tape.watch(x)
        plan = layer(x, training=True, row_mask=row_mask, col_mask=col_mask)
        loss = tf.reduce_sum(
            plan**2 * logits[:, None] if name == "samples" else plan**2
        )
    exists = row_mask[..., None] & col_mask[..., None, :]
    gradient = tape.gradient(loss, x)
    if name == "matching":
        assert gradient is None or not np.any(gradient)
    else:
        assert np.isfinite(gradient).all() and (gradient.numpy()[~exists] == 0).all()
        assert np.abs(gradient).max() > 0


@pytest.mark.parametrize(
    "name, with_temperature",
    [("sinkhorn", True), ("samples", False), ("samples", True), ("matching", False)],
)
def test_the_mask_of_keras_is_that_of_the_items(
    rng, name, with_temperature, row_mask, logits
):
    items = np.concatenate([np.where(row_mask, 1, 0)[..., None], logits], -1)
    items[~row_mask] = 0
    inputs = keras.Input((N, M + 1))
    masked = keras.layers.Masking(0.0)(inputs)
    dense = keras.layers.Dense(M)
    layer = LAYERS[name]()
    # With several tensors Keras leaves the mask with its tensor.
    call = {"temperature": keras.Input(())} if with_temperature else {}
    result = layer(dense(masked), **call)
    model = keras.Model([inputs, *call.values()], result)
    t = np.full(B, 0.5, np.float32)
    plan = model([items.astype(np.float32), *([t] if call else [])])
    expected = expected_plan(name, dense(items).numpy(), row_mask)
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    rows = row_mask[:, None].repeat(2, 1) if name == "samples" else row_mask
    np.testing.assert_array_equal(plan._keras_mask, rows)


@two_layers
def test_the_mask_of_keras_holds_for_positions_with_an_option(rng, name, row_mask):
    x = rng.normal(size=(B, N, N)).astype(np.float32)
    layer = LAYERS[name](mask_positions=True)
    assert layer.get_config()["mask_positions"] is True
    plan = layer(x, mask=row_mask)
    expected = expected_plan(name, x, row_mask, row_mask)
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    # Explicit masks replace that of Keras, each one alone.
    plan = layer(x, mask=row_mask, col_mask=~row_mask)
    expected = expected_plan(name, x, row_mask, ~row_mask)
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    plan = layer(x, mask=row_mask, row_mask=~row_mask)
    expected = expected_plan(name, x, ~row_mask, ~row_mask)
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    rows = ~row_mask[:, None].repeat(2, 1) if name == "samples" else ~row_mask
    np.testing.assert_array_equal(plan._keras_mask, rows)


@pytest.fixture
def restoring_model():
    """Masked items, a plan for fewer positions, and the items at the positions."""
    inputs = keras.Input((N, 3))
    masked = keras.layers.Masking(0.0)(inputs)
    logits = keras.layers.Dense(M)(masked)
    plan = st.SinkhornLayer(**SETTINGS)(logits)
    samples = LAYERS["samples"]()(logits)
    restored = st.Restore()([plan, inputs])
    several = st.Restore()([samples, keras.ops.expand_dims(inputs, 1)])
    pooled = keras.layers.GlobalAveragePooling1D()(plan)
    return keras.Model(inputs, [restored, several, pooled])


def test_items_with_padding_through_a_whole_model(
    rng, tmp_path, restoring_model, row_mask
):
    model = restoring_model
    items = rng.normal(size=(B, N, 3)).astype(np.float32)
    items[~row_mask] = 0
    assert [x.shape for x in model.outputs] == [
        (None, M, 3),
        (None, 2, M, 3),
        (None, M),
    ]
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    targets = [np.ones((B, *x.shape[1:]), np.float32) for x in model.outputs]
    history = model.fit(items, targets, batch_size=B, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.abs(model.get_weights()[0] - before).max() > 0
    outputs = model(items)
    kernel, bias = model.get_weights()[:2]
    plan = expected_plan("sinkhorn", items @ kernel + bias, row_mask)
    restored = np.swapaxes(plan, 1, 2) @ items
    np.testing.assert_allclose(outputs[0], restored, atol=1e-5)
    assert getattr(outputs[0], "_keras_mask", None) is None
    for sample in range(2):
        np.testing.assert_allclose(outputs[1][:, sample], restored, atol=1e-5)
    # A layer of Keras that follows sees the mask of the items.
    means = plan.sum(1) / row_mask.sum(1, keepdims=True)
    np.testing.assert_allclose(outputs[2], means, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for a, e in zip(loaded(items), outputs, strict=True):
        np.testing.assert_allclose(a, e, atol=1e-6)


def test_padding_changes_nothing(rng, restoring_model, row_mask):
    items = rng.normal(size=(1, N, 3)).astype(np.float32)
    items[:, 3:] = 0
    kernel, bias = (x.numpy() for x in restoring_model.layers[2].weights)
    layer, logits = st.SinkhornLayer(**SETTINGS), items @ kernel + bias
    longer = np.concatenate([items, np.zeros((1, 4, 3), np.float32)], 1)
    exists = np.any(longer, -1)
    plan = layer(longer @ kernel + bias, row_mask=exists).numpy()
    np.testing.assert_allclose(plan[:, :3], layer(logits[:, :3]), atol=1e-6)
    assert (plan[:, 3:] == 0).all()


def test_an_embedding_with_a_mask_of_zeros(tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(9, 4, mask_zero=True)(tokens)
    logits = keras.layers.Dense(M)(embedded)
    model = keras.Model(tokens, st.Matching()(logits))
    ids = np.array([[3, 1, 0, 0], [0, 5, 2, 7]], np.int32)
    matrix = model(ids).numpy()
    dense = keras.Model(tokens, logits)(ids).numpy()
    np.testing.assert_array_equal(matrix, expected_plan("matching", dense, ids != 0))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(ids), matrix)


def test_explicit_masks_of_a_model_are_saved(tmp_path, logits, row_mask, col_mask):
    inputs = [keras.Input((N, M)), keras.Input((N,), dtype="bool")]
    columns = col_mask[1]
    plan = LAYERS["samples"]()(inputs[0], row_mask=inputs[1], col_mask=columns)
    pooled = keras.layers.TimeDistributed(keras.layers.GlobalAveragePooling1D())
    model = keras.Model(inputs, [plan, pooled(plan)])
    outputs = model([logits, row_mask])
    expected = expected_plan("samples", logits, row_mask, np.tile(columns, (B, 1)))
    np.testing.assert_allclose(outputs[0], expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for a, e in zip(loaded([logits, row_mask]), outputs, strict=True):
        np.testing.assert_allclose(a, e, atol=1e-6)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("n_positions", [3, N, 7])
def test_restore_of_rectangles(rng, batch, n_positions):
    soft = rng.random(size=(*batch, N, n_positions)).astype(np.float32)
    soft[..., 1, :], soft[..., :, 2] = 0, 0
    items = rng.normal(size=(*batch, N, 2)).astype(np.float32)
    restored = st.Restore()([soft, items])
    expected = np.swapaxes(soft, -1, -2) @ items
    np.testing.assert_allclose(restored, expected, atol=1e-6)
    assert (restored.numpy()[..., 2, :] == 0).all()
    symbolic = [keras.Input((N, n_positions)), keras.Input((N, 2))]
    assert st.Restore()(symbolic).shape == (None, n_positions, 2)


def test_restore_keeps_what_stands_in_padding_from_spreading(rng):
    soft = tf.constant(rng.random(size=(2, 3, N, M)), tf.float32)
    soft *= tf.cast([True, True, True, False, False], tf.float32)[:, None]
    items = rng.normal(size=(2, 1, N, 2)).astype(np.float32)
    clean = st.Restore()([soft, items])
    items[..., 3, :], items[..., 4, :] = np.nan, [np.inf, -np.inf]
    padded = tf.constant(items)
    with tf.GradientTape() as tape:
        tape.watch([soft, padded])
        restored = st.Restore()([soft, padded])
        loss = tf.reduce_sum(restored**2)
    np.testing.assert_array_equal(restored, clean)
    for gradient in tape.gradient(loss, [soft, padded]):
        assert np.isfinite(gradient).all()
    items[0, 0, 0, 0] = np.nan
    restored = st.Restore()([soft, items]).numpy()
    assert np.isnan(restored[0, ..., 0]).all() and np.isfinite(restored[1]).all()


def test_restore_of_hard_rectangles_equals_apply(rng, logits, row_mask):
    items = rng.normal(size=(B, N, 2)).astype(np.float32)
    matrix = st.Matching()(logits, row_mask=row_mask)
    restored = st.Restore()([matrix, items])
    perm = st.matching(logits, row_mask=row_mask, jit_compile=False)
    moved = st.permutations.apply(perm, items, n_positions=M)
    np.testing.assert_array_equal(restored, moved)
