"""The layer of partial matchings, whose score it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

B, N, M = 3, 5, 4


def reference(x, score, t, n_iters):
    """The formula of SuperGlue on one matrix, in float64."""
    n, m = x.shape
    plan = np.pad(np.float64(x), ((0, 1), (0, 1)), constant_values=score) / t
    plan = np.exp(plan - plan.max())
    rows, cols = np.append(np.ones(n), m), np.append(np.ones(m), n)
    for _ in range(n_iters):
        plan *= (rows / plan.sum(1))[:, None]
        plan *= cols / plan.sum(0)
    return plan[:n, :m], plan[:n, m], plan[n, :m]


@pytest.fixture
def logits(rng):
    return rng.normal(size=(B, N, M)).astype(np.float32)


@pytest.fixture
def masks():
    rows = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 1]], bool)
    cols = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0]], bool)
    return {"row_mask": rows, "col_mask": cols}


def assert_parts(result, expected):
    assert isinstance(result, tuple) and len(result) == 3
    for actual, part in zip(result, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(actual, np.stack(part), atol=1e-5)


def test_it_is_the_operator_with_the_score_of_the_layer(logits):
    layer = st.PartialSinkhorn(0.3, temperature=0.5, n_iters=3)
    assert_parts(layer(logits), [reference(x, 0.3, 0.5, 3) for x in logits])
    # Neither is compiled anew.
    layer.unmatched_score = -0.5
    assert_parts(
        layer(logits, temperature=2.0), [reference(x, -0.5, 2, 3) for x in logits]
    )


def test_masks_leave_the_submatrix(logits, masks):
    layer = st.PartialSinkhorn(0.3, temperature=0.5, n_iters=3)
    pairs = masks["row_mask"][:, :, None] & masks["col_mask"][:, None]
    result = layer(np.where(pairs, logits, np.nan).astype(np.float32), **masks)
    expected = []
    for x, rows, cols in zip(logits, *masks.values(), strict=True):
        parts = reference(x[np.ix_(rows, cols)], 0.3, 0.5, 3)
        whole = np.zeros([N, M]), np.zeros(N), np.zeros(M)
        places = np.ix_(rows, cols), rows, cols
        for place, part, values in zip(places, parts, whole, strict=True):
            values[place] = part
        expected.append(whole)
    assert_parts(result, expected)
    plan, *unmatched = result
    np.testing.assert_array_equal(plan._keras_mask, masks["row_mask"])
    assert all(getattr(x, "_keras_mask", None) is None for x in unmatched)


def test_the_mask_of_keras_is_that_of_the_items(rng, masks):
    items = rng.normal(size=(B, N, 3)).astype(np.float32)
    items[~masks["row_mask"]] = 0
    inputs = keras.Input((N, 3))
    dense, layer = keras.layers.Dense(M), st.PartialSinkhorn(n_iters=3)
    outputs = layer(dense(keras.layers.Masking(0.0)(inputs)))
    model = keras.Model(inputs, list(outputs))
    expected = layer(dense(items), row_mask=masks["row_mask"])
    for actual, part in zip(model(items), expected, strict=True):
        np.testing.assert_allclose(actual, part, atol=1e-6)
    assert (model(items)[1].numpy()[~masks["row_mask"]] == 0).all()


def test_the_score_is_one_trainable_weight_in_float32():
    for policy, dtype in [("mixed_float16", "float32"), ("float64", "float64")]:
        layer = st.PartialSinkhorn(0.1, dtype=policy)
        (weight,) = layer.trainable_variables
        assert weight is layer.unmatched_score and weight.name == "unmatched_score"
        assert weight.shape == () and weight.dtype == dtype
    layer = st.PartialSinkhorn(0.1, dtype="mixed_float16")
    outputs = tf.function(layer)(np.zeros([2, 3], np.float32))
    assert [x.dtype for x in outputs] == ["float16"] * 3
    layer = st.PartialSinkhorn(0.1, trainable_temperature=True)
    assert {x.name for x in layer.trainable_variables} == {
        "unmatched_score",
        "temperature",
    }


def test_fit_learns_from_which_score_on_pairs_match(rng, tmp_path):
    """Pairs above 1 are matched: the score goes there from 0."""
    keras.utils.set_random_seed(0)
    logits = np.where(np.eye(4, dtype=bool), rng.uniform(0, 2, (64, 4, 4)), -4)
    targets = np.diagonal(logits, axis1=1, axis2=2) < 1
    inputs = keras.Input((4, 4))
    layer = st.PartialSinkhorn(temperature=0.05, n_iters=5)
    model = keras.Model(inputs, layer(inputs)[1])
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=False)
    model.fit(logits, targets.astype(np.float32), 16, epochs=20, verbose=0)
    score = float(layer.unmatched_score.numpy())
    assert abs(score - 1) < 0.2
    assert layer.get_config()["unmatched_score"] == pytest.approx(score)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(
        tf.function(loaded)(logits), tf.function(model)(logits)
    )
    model.save_weights(tmp_path / "model.weights.h5")
    layer.unmatched_score = 0.0
    model.load_weights(tmp_path / "model.weights.h5")
    assert float(layer.unmatched_score.numpy()) == score


def test_the_temperature_is_annealed():
    layer = st.PartialSinkhorn(n_iters=1)
    inputs = keras.Input((2, 3))
    model = keras.Model(inputs, layer(keras.layers.Dense(2)(inputs))[0])
    model.compile("sgd", "mse", jit_compile=False)
    anneal = st.AnnealTemperature(lambda step: 0.5 / (step + 1))
    x, y = np.ones([4, 2, 3]), np.ones([4, 2, 2]) / 2
    model.fit(x, y, batch_size=1, verbose=0, callbacks=[anneal])
    assert float(layer.temperature.numpy()) == pytest.approx(0.125)


@pytest.mark.parametrize("score", [np.nan, np.inf, "a", None, True, [0.0, 1.0]])
def test_a_bad_score_is_one_sentence(score):
    with pytest.raises((TypeError, ValueError), match="unmatched_score") as caught:
        st.PartialSinkhorn(score)
    assert "\n" not in str(caught.value) and "Received: " in str(caught.value)


def test_shapes_with_unknown_sizes(rng):
    inputs = keras.Input((None, None))
    outputs = st.PartialSinkhorn(n_iters=2)(inputs)
    assert [x.shape for x in outputs] == [
        (None, None, None),
        (None, None),
        (None, None),
    ]
    model = keras.Model(inputs, list(outputs))
    plan, rows, cols = model(rng.normal(size=(2, 3, 5)).astype(np.float32))
    assert (plan.shape, rows.shape, cols.shape) == ((2, 3, 5), (2, 3), (2, 5))
    np.testing.assert_allclose(
        tf.reduce_sum(plan, 1) + cols, np.ones([2, 5]), atol=1e-5
    )


def test_an_exported_solver_does_not_take_the_plan_for_logits(tmp_path):
    inputs = keras.Input((3, 2), name="items")
    plan, *_ = st.PartialSinkhorn(name="soft")(keras.layers.Dense(4)(inputs))
    with pytest.raises(ValueError, match="the output of PartialSinkhorn 'soft'"):
        st.export_solver(keras.Model(inputs, plan), tmp_path / "solver")
