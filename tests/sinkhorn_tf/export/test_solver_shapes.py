"""Solvers of rectangles, of sizes that vary, and of sets that are padded."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf.export import _interface, _servable, _signatures
from tests.sinkhorn_tf._matching.scipy_reference import best

T, L = 0.5, 3


def pairs(n=None, m=None, masks=("row_mask", "col_mask"), order="masks last"):
    """A model of two sets, whose logits are products of features."""
    places = keras.Input((m, 2), name="places")
    items = keras.Input((n, 2), name="items")
    dense = [keras.layers.Dense(3, kernel_initializer="ones", name=x) for x in "ab"]
    logits = keras.ops.matmul(
        dense[0](items) ** 2, keras.ops.transpose(dense[1](places), (0, 2, 1))
    )
    sizes = {"row_mask": n, "col_mask": m}
    present = [keras.Input((sizes[x],), dtype="bool", name=x) for x in masks]
    inputs = [items, places, *present]
    if order == "masks first":
        inputs = [*present, items, places]
    return keras.Model(inputs, logits)


def draw(rng, batch, n, m):
    sizes = {"items": (batch, n, 2), "places": (batch, m, 2)}
    return {name: rng.normal(size=x).astype(np.float32) for name, x in sizes.items()}


def draw_masks(rng, batch, n, m):
    """Sets of different sizes, an empty one among them."""
    masks = rng.random((batch, n)) < 0.6, rng.random((batch, m)) < 0.7
    masks[0][0] = False
    return dict(zip(("row_mask", "col_mask"), masks, strict=True))


def to_tensors(inputs):
    return {name: tf.constant(x) for name, x in inputs.items()}


@pytest.fixture(scope="module")
def model():
    return pairs()


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("solver")
    return st.export_solver(model, path, temperature=T, n_iters=L)


@pytest.fixture(scope="module")
def solver(path):
    return tf.saved_model.load(path).signatures


def assert_answers(answer, logits, rows=None, cols=None, t=T):
    """Compares an answer with SciPy and the operator on what exists."""
    rows = np.ones(logits.shape[:2], bool) if rows is None else rows
    cols = np.ones((len(logits), logits.shape[2]), bool) if cols is None else cols
    expected = [best(*each) for each in zip(logits, rows, cols, strict=True)]
    perm, value = map(np.array, zip(*expected, strict=True))
    np.testing.assert_array_equal(answer["permutation"], perm)
    np.testing.assert_allclose(answer["value"], value, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(answer["gap"], np.zeros(len(logits)))
    plan = st.sinkhorn(logits, t, L, row_mask=rows, col_mask=cols, jit_compile=False)
    np.testing.assert_allclose(answer["plan"], plan, atol=1e-5)


def test_signatures_of_sizes_that_vary(solver):
    logits, rows, cols = [None, None, None], [None, None], [None, None]
    inputs = {
        "serving_default": {
            "items": [None, None, 2],
            "places": [None, None, 2],
            "row_mask": rows,
            "col_mask": cols,
        },
        "match": {"logits": logits},
        "match_at_temperature": {"logits": logits, "temperature": [None]},
        "match_masked": {"logits": logits, "row_mask": rows, "col_mask": cols},
    }
    assert set(solver) == set(inputs)
    for name, expected in inputs.items():
        _, specs = solver[name].structured_input_signature
        assert {key: x.shape.as_list() for key, x in specs.items()} == expected
        masks = [spec.dtype for key, spec in specs.items() if key.endswith("mask")]
        assert masks == [tf.bool] * len(masks)
    outputs = solver["serving_default"].structured_outputs
    assert outputs["restored"].shape.as_list() == [None, None, 2]


@pytest.mark.parametrize("n, m", [(4, 4), (3, 6), (7, 2)])
def test_sets_of_different_sizes_in_a_batch(rng, model, solver, n, m):
    inputs = {**draw(rng, 4, n, m), **draw_masks(rng, 4, n, m)}
    rows, cols = inputs["row_mask"], inputs["col_mask"]
    answer = solver["serving_default"](**to_tensors(inputs))
    logits = model(list(inputs.values())).numpy()
    assert_answers(answer, logits, rows, cols)
    restored = np.zeros([4, m, 2], np.float32)
    for k, perm in enumerate(answer["permutation"].numpy()):
        restored[k, perm[perm >= 0]] = inputs["items"][k, perm >= 0]
    np.testing.assert_array_equal(answer["restored"], restored)
    masked = {"logits": logits, "row_mask": rows, "col_mask": cols}
    masked = solver["match_masked"](**to_tensors(masked))
    for name, value in masked.items():
        np.testing.assert_allclose(value, answer[name], rtol=1e-5, atol=1e-6)
    assert_answers(solver["match"](logits=tf.constant(logits)), logits)
    t = np.float32([0.2, 0.5, 1, 2])
    answer = solver["match_at_temperature"](
        logits=tf.constant(logits), temperature=tf.constant(t)
    )
    assert_answers(answer, logits, t=t)


def test_padding_changes_nothing(rng, solver):
    sizes = [(3, 5), (4, 2), (1, 1)]
    alone = []
    items, places = (np.full([3, 6, 2], np.nan, np.float32) for _ in range(2))
    rows, cols = np.zeros([3, 6], bool), np.zeros([3, 6], bool)
    for k, (n, m) in enumerate(sizes):
        one = draw(rng, 1, n, m)
        items[k, :n], places[k, :m] = one["items"][0], one["places"][0]
        rows[k, :n] = cols[k, :m] = True
        one |= {"row_mask": rows[k : k + 1, :n], "col_mask": cols[k : k + 1, :m]}
        alone.append(solver["serving_default"](**to_tensors(one)))
    padded = {"items": items, "places": places, "row_mask": rows, "col_mask": cols}
    together = solver["serving_default"](**to_tensors(padded))
    for k, ((n, m), one) in enumerate(zip(sizes, alone, strict=True)):
        perm, plan, restored = (
            together[x][k].numpy() for x in ("permutation", "plan", "restored")
        )
        np.testing.assert_array_equal(perm[:n], one["permutation"][0])
        np.testing.assert_allclose(plan[:n, :m], one["plan"][0], atol=1e-6)
        np.testing.assert_array_equal(restored[:m], one["restored"][0])
        assert (perm[n:] == -1).all() and not plan[n:].any() and not plan[:, m:].any()
        assert not restored[m:].any()
        for name in ("value", "gap"):
            np.testing.assert_allclose(together[name][k], one[name][0], rtol=1e-6)


@pytest.mark.parametrize(
    "logits, rows, cols",
    [
        ((2, 3, 4), (2, 1), (2, 4)),
        ((2, 3, 4), (2, 3), (2, 3)),
        ((2, 3, 4), (3, 3), (2, 4)),
        ((2, 0, 4), (2, 0), (2, 4)),
    ],
)
def test_a_request_whose_sizes_differ_fails(solver, logits, rows, cols):
    with pytest.raises(tf.errors.InvalidArgumentError):
        solver["match_masked"](
            logits=tf.zeros(logits),
            row_mask=tf.ones(rows, tf.bool),
            col_mask=tf.ones(cols, tf.bool),
        )


def test_stock_servers_run_it(path):
    # It would raise.
    _servable.refuse_what_serving_refuses(path)


def solve(model, inputs):
    """The answer without an export."""
    solver = _signatures.Solver(model, _interface.to_interface(model), T, L)
    signatures = {"serving_default": solver.signatures()["serving_default"]}
    (function,) = _signatures.to_functions(signatures, jit_compile=None).values()
    return function(*(tf.constant(inputs[x.name]) for x in function.input_signature))


@pytest.mark.parametrize(
    "masks, order, sizes",
    [
        ((), "masks last", (5, 3)),
        (("row_mask",), "masks first", (None, 4)),
        (("col_mask", "row_mask"), "masks first", (4, 4)),
    ],
)
def test_some_sizes_that_vary_and_some_masks(rng, masks, order, sizes):
    model = pairs(*sizes, masks=masks, order=order)
    n, m = (size or 6 for size in sizes)
    inputs = draw(rng, 3, n, m)
    drawn = draw_masks(rng, 3, n, m)
    inputs |= {name: drawn[name] for name in masks}
    interface = _interface.to_interface(model)
    interface.refuse_plans(model)
    assert (interface.n, interface.m) == sizes
    assert interface.specs[interface.items].name == "items"
    answer = solve(model, inputs)
    logits = model([inputs[x.name] for x in model.inputs]).numpy()
    assert_answers(answer, logits, *(inputs.get(x) for x in ("row_mask", "col_mask")))
    assert answer["restored"].shape == (3, m, 2)


def test_a_rectangular_plan_of_the_model_itself(rng):
    model = pairs(3, 5, masks=())
    own = keras.Model(model.inputs, [model.output, st.SinkhornLayer(0.1)(model.output)])
    inputs = draw(rng, 2, 3, 5)
    answer = solve(own, inputs)
    plan = st.sinkhorn(model(list(inputs.values())), 0.1, jit_compile=False)
    np.testing.assert_allclose(answer["plan"], plan, atol=1e-5)


def with_mask(name, shape, dtype):
    model, present = pairs(4, 3, masks=()), keras.Input(shape, dtype=dtype, name=name)
    return keras.Model([*model.inputs, present], model.output)


def end_at_a_plan(layer):
    model = pairs(4, 3)
    rows, cols = model.inputs[2:]
    return keras.Model(model.inputs, layer(model.output, row_mask=rows, col_mask=cols))


def without_history():
    """A plan that only its numbers tell."""
    model = pairs(4, 3)
    layer = keras.layers.Lambda(lambda x: st.sinkhorn(x, 0.1, jit_compile=False))
    return keras.Model(model.inputs, layer(model.output))


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: with_mask("row_mask", (4,), "float32"), "dtype float32"),
        (
            lambda: with_mask("row_mask", (3,), "bool"),
            "keras.Input((4,), dtype='bool')",
        ),
        (lambda: with_mask("col_mask", (3, 1), "bool"), "shape (None, 3, 1)"),
        (lambda: end_at_a_plan(st.SinkhornLayer()), "the output of SinkhornLayer"),
        (lambda: end_at_a_plan(st.Matching()), "the output of Matching"),
        (without_history, "columns that sum to 1"),
        (
            lambda: keras.Sequential([keras.Input((3,)), keras.layers.Reshape((1, 3))]),
            "Received: inputs of the shapes (None, 3)",
        ),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(make, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        st.export_solver(make(), tmp_path / "solver")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "solver").exists()


def test_the_mask_of_an_embedding_holds(tmp_path):
    symbols = keras.Input((4,), dtype="int32", name="symbols")
    x = keras.layers.Embedding(6, 4, mask_zero=True)(symbols)
    model = keras.Model(symbols, keras.layers.Dense(4)(x))
    path = st.export_solver(model, tmp_path / "model", temperature=0.5)
    solve = tf.saved_model.load(path).signatures["serving_default"]
    items = tf.constant([[1, 2, 0, 0], [3, 0, 5, 1]])
    answer = solve(symbols=items)
    mask = (items != 0).numpy()
    expected = st.certified_matching(model(items), row_mask=mask)
    np.testing.assert_array_equal(answer["permutation"], expected.perm)
    np.testing.assert_allclose(answer["value"], expected.value)
    assert not answer["plan"].numpy()[~mask].any()
