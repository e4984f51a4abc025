import os
import stat

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf.export import _servable
from tests.sinkhorn_tf.export.small_networks import N, draw_items, network

ANSWER = {"permutation", "plan", "value", "gap"}


def assert_answers(actual, logits, temperature):
    expected = [linear_sum_assignment(-x)[1] for x in logits]
    np.testing.assert_array_equal(actual["permutation"], expected)
    plan = st.sinkhorn(logits, temperature, 3, jit_compile=False)
    np.testing.assert_allclose(actual["plan"], plan, atol=1e-6)
    value = np.take_along_axis(logits, np.array(expected)[..., None], -1).sum((1, 2))
    np.testing.assert_allclose(actual["value"], value, rtol=1e-6)
    np.testing.assert_array_equal(actual["gap"], np.zeros(len(logits)))


def test_a_second_output_is_the_plan(rng, model, tmp_path):
    own = keras.layers.Softmax(axis=1)(2 * model.output)
    both = keras.Model(model.input, [model.output, own])
    solver = tf.saved_model.load(st.export_solver(both, tmp_path, n_iters=3)).signatures
    items = draw_items(rng)
    logits, plan = both(items)
    actual = solver["serving_default"](pieces=items)
    np.testing.assert_allclose(actual.pop("plan"), plan, atol=1e-6)
    expected = solver["match"](logits=logits)
    assert_answers(expected, logits.numpy(), 1.0)
    for name in ANSWER - {"plan"}:
        np.testing.assert_array_equal(actual[name], expected[name])


def test_assets_extra_travel_with_the_model(path):
    text = (path / "1" / "assets.extra" / "metrics.json").read_text()
    assert text == '{"proportion_wrong": 0.1}'


def test_signatures_name_their_inputs_and_outputs(solver):
    assert set(solver) == {
        "serving_default",
        "match",
        "match_at_temperature",
        "match_masked",
        "twice",
    }
    shapes = {
        "permutation": [None, N],
        "plan": [None, N, N],
        "value": [None],
        "gap": [None],
        "restored": [None, N, 3],
    }
    dtypes = {"permutation": "int32", "value": "float64", "gap": "float64"}
    inputs = {
        "serving_default": {"pieces": [None, N, 3]},
        "match": {"logits": [None, N, N]},
        "match_at_temperature": {"logits": [None, N, N], "temperature": [None]},
        "match_masked": {
            "logits": [None, N, N],
            "row_mask": [None, N],
            "col_mask": [None, N],
        },
    }
    for name, expected in inputs.items():
        signature = solver[name]
        _, specs = signature.structured_input_signature
        assert {key: spec.shape.as_list() for key, spec in specs.items()} == expected
        outputs = signature.structured_outputs
        restored = {"restored"} if name == "serving_default" else set()
        assert set(outputs) == ANSWER | restored
        for key, output in outputs.items():
            assert output.shape.as_list() == shapes[key]
            assert output.dtype == dtypes.get(key, "float32")


@pytest.mark.parametrize("batch", [1, 5])
def test_answers_equal_the_keras_model(rng, model, solver, batch):
    items = draw_items(rng, batch)
    logits = model(items).numpy()
    actual = solver["serving_default"](pieces=items)
    assert_answers(actual, logits, 0.5)
    restored = st.permutations.apply(actual["permutation"], items)
    np.testing.assert_array_equal(actual["restored"], restored)
    np.testing.assert_array_equal(solver["twice"](pieces=items)["twice"], 2 * restored)


@pytest.mark.parametrize("batch", [1, 5])
def test_matching_of_given_logits(rng, solver, batch):
    logits = rng.normal(size=(batch, N, N)).astype(np.float32)
    assert_answers(solver["match"](logits=tf.constant(logits)), logits, 0.5)
    t = rng.uniform(0.2, 1, size=batch).astype(np.float32)
    actual = solver["match_at_temperature"](
        logits=tf.constant(logits), temperature=tf.constant(t)
    )
    assert_answers(actual, logits, t)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_poison_stays_in_its_example(rng, solver, poison):
    clean = draw_items(rng, 3).numpy()
    bad = clean.copy()
    bad[1, 0, 0] = poison
    before, after = (
        solver["serving_default"](pieces=tf.constant(items)) for items in (clean, bad)
    )
    assert (after["permutation"][1].numpy() == -1).all()
    assert np.isnan([after["value"][1], after["gap"][1]]).all()
    assert np.isnan(after["plan"][1]).all()
    for name, expected in before.items():
        np.testing.assert_array_equal(after[name].numpy()[::2], expected.numpy()[::2])


def test_bad_temperature_gives_nan_in_its_example(rng, solver):
    logits = tf.constant(rng.normal(size=(2, N, N)), tf.float32)
    actual = solver["match_at_temperature"](
        logits=logits, temperature=tf.constant([-1.0, 1.0])
    )
    assert np.isnan(actual["plan"][0]).all() and np.isfinite(actual["plan"][1]).all()
    assert (actual["permutation"].numpy() >= 0).all()


def test_runs_in_a_process_without_the_package_or_keras(
    rng, path, solver, run_python, tmp_path
):
    items = draw_items(rng).numpy()
    np.save(tmp_path / "items.npy", items)
    done = run_python(
        """
        import sys

        # Keras is not needed either.
        sys.modules["keras"] = None
        import numpy as np, tensorflow as tf

        solver = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
        answer = solver(pieces=tf.constant(np.load("items.npy")))
        np.savez("answer.npz", **{name: x.numpy() for name, x in answer.items()})
        """,
        path / "1",
        without_package=True,
    )
    assert done.returncode == 0, done.stderr
    answer = np.load(tmp_path / "answer.npz")
    for name, expected in solver["serving_default"](pieces=tf.constant(items)).items():
        np.testing.assert_allclose(answer[name], expected, atol=1e-6, err_msg=name)


def test_layers_of_the_package_inside_the_network_and_the_next_version(rng, tmp_path):
    (tmp_path / "solver" / "9").mkdir(parents=True)
    (tmp_path / "solver" / "notes").mkdir()
    soft = st.GumbelSinkhorn(n_iters=1, dtype="mixed_bfloat16")
    model = network(lambda x: keras.layers.Dense(N)(soft(x)))
    written = st.export_solver(model, tmp_path / "solver", n_iters=1)
    assert written == str(tmp_path / "solver" / "10")
    # TensorFlow Serving may run as another user.
    assert stat.S_IMODE(os.stat(written).st_mode) & 0o055 == 0o055
    solver = tf.saved_model.load(written).signatures["serving_default"]
    items = draw_items(rng)
    expected = st.matching(tf.function(model)(items), jit_compile=False)
    np.testing.assert_array_equal(solver(pieces=items)["permutation"], expected)


def test_several_inputs(rng, tmp_path):
    pieces, wanted = keras.Input((N, 3), name="pieces"), keras.Input((2,), name="digit")
    scores = keras.layers.Dense(N)(pieces) + keras.layers.Dense(N)(wanted)[:, None]
    model = keras.Model([pieces, wanted], scores)
    two = (
        lambda solve, pieces, digit: {
            "permutation": solve(pieces, digit)["permutation"]
        },
        [
            tf.TensorSpec([None, N, 3], name="pieces"),
            tf.TensorSpec([None, 2], name="d"),
        ],
    )
    path = st.export_solver(model, tmp_path / "x", n_iters=1, signatures={"two": two})
    solver = tf.saved_model.load(path).signatures
    items, digit = draw_items(rng), tf.ones([5, 2])
    actual = solver["serving_default"](pieces=items, digit=digit)
    expected = st.matching(model([items, digit]))
    np.testing.assert_array_equal(actual["permutation"], expected)
    np.testing.assert_array_equal(
        actual["restored"], st.permutations.apply(expected, items)
    )
    np.testing.assert_array_equal(
        solver["two"](pieces=items, d=digit)["permutation"], expected
    )


def test_jit_variant_gives_the_same_answers_and_is_kept_apart(rng, model, tmp_path):
    path = tmp_path / "solver"
    (tmp_path / "solver_xla" / "3").mkdir(parents=True)
    plain = st.export_solver(model, path, n_iters=3, jit_variant=True)
    assert plain == str(path / "4")
    assert sorted(os.listdir(tmp_path / "solver_xla")) == ["3", "4"]
    compiled = str(tmp_path / "solver_xla" / "4")
    _servable.refuse_what_serving_refuses(plain)
    with pytest.raises(ValueError, match="jit_compile=True"):
        _servable.refuse_what_serving_refuses(compiled)
    items = draw_items(rng)
    actual, expected = (
        tf.saved_model.load(x).signatures["serving_default"](pieces=items)
        for x in (compiled, plain)
    )
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, atol=1e-6, err_msg=name)


def test_further_inputs_follow_the_items(rng, tmp_path):
    pieces, digit = keras.Input((N, 3), name="pieces"), keras.Input((), name="digit")
    logits = keras.layers.Dense(N)(pieces) * digit[:, None, None]
    path = st.export_solver(keras.Model([pieces, digit], logits), tmp_path)
    items = draw_items(rng, 2)
    items = tf.concat([items, items], axis=0)
    answer = tf.saved_model.load(path).signatures["serving_default"](
        pieces=items, digit=tf.constant([1.0, 1, -1, -1])
    )
    perm = answer["permutation"].numpy()
    assert (perm[:2] != perm[2:]).any()
    np.testing.assert_array_equal(
        answer["restored"], st.permutations.apply(perm, items)
    )


def test_what_a_request_does_not_ask_for_is_not_computed(tmp_path):
    scores = keras.Input((4, 4), name="scores")
    model = keras.Model(scores, keras.layers.Identity()(scores))
    path = st.export_solver(model, tmp_path / "model")
    v1 = tf.compat.v1

    def ops(session, fetched):
        """How many ops ran."""
        ran = v1.RunMetadata()
        options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
        inputs = {signature.inputs["logits"].name: np.eye(4)[None]}
        session.run(fetched, inputs, options, ran)
        return sum(len(device.node_stats) for device in ran.step_stats.dev_stats)

    with v1.Session(graph=tf.Graph()) as session:
        signature = v1.saved_model.load(session, ["serve"], path).signature_def["match"]
        names = {key: info.name for key, info in signature.outputs.items()}
        whole = ops(session, names)
        proven = ops(session, {key: names[key] for key in ("permutation", "gap")})
        alone = ops(session, names["permutation"])
        assert alone < 0.75 * proven < 0.75**2 * whole
