import os
import re
import stat

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf.export import _servable
from sinkhorn_tf.export import solver as export

N = 4
ANSWER = {"permutation", "plan", "value", "gap"}


def network(function=None):
    items = keras.Input((N, 3), name="pieces")
    x = keras.layers.Dense(N, name="scores")(items)
    return keras.Model(items, function(x) if function else x)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return network()


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    """The model directory, with two versions."""
    path = tmp_path_factory.mktemp("solver")
    twice = (
        lambda solve, pieces: {"twice": 2 * solve(pieces)["restored"]},
        tf.TensorSpec([None, N, 3], name="pieces"),
    )
    for _ in range(2):
        st.export_solver(
            model,
            path,
            temperature=0.5,
            n_iters=3,
            signatures={"twice": twice},
            assets_extra={"metrics.json": '{"proportion_wrong": 0.1}'},
        )
    return path


@pytest.fixture(scope="module")
def solver(path):
    return tf.saved_model.load(str(path / "1")).signatures


def draw_items(rng, batch=5):
    return tf.constant(rng.normal(size=(batch, N, 3)), tf.float32)


def assert_answers(found, logits, temperature):
    expected = [linear_sum_assignment(-x)[1] for x in logits]
    np.testing.assert_array_equal(found["permutation"], expected)
    plan = st.sinkhorn(logits, temperature, 3, jit_compile=False)
    np.testing.assert_allclose(found["plan"], plan, atol=1e-6)
    value = np.take_along_axis(logits, np.array(expected)[..., None], -1).sum((1, 2))
    np.testing.assert_allclose(found["value"], value, rtol=1e-6)
    np.testing.assert_array_equal(found["gap"], np.zeros(len(logits)))


def test_a_second_output_is_the_plan(rng, model, tmp_path):
    own = keras.layers.Softmax(axis=1)(2 * model.output)
    both = keras.Model(model.input, [model.output, own])
    solver = tf.saved_model.load(st.export_solver(both, tmp_path, n_iters=3)).signatures
    items = draw_items(rng)
    logits, plan = both(items)
    found = solver["serving_default"](pieces=items)
    np.testing.assert_allclose(found.pop("plan"), plan, atol=1e-6)
    expected = solver["match"](logits=logits)
    assert_answers(expected, logits.numpy(), 1.0)
    for name in ANSWER - {"plan"}:
        np.testing.assert_array_equal(found[name], expected[name])


def test_versions_are_numbered_and_never_overwritten(model, path):
    assert sorted(os.listdir(path)) == ["1", "2"]
    before = (path / "1" / "saved_model.pb").read_bytes()
    with pytest.raises(FileExistsError, match=r"Received: .*solver0/1"):
        st.export_solver(model, path, version=1)
    assert sorted(os.listdir(path)) == ["1", "2"]
    assert (path / "1" / "saved_model.pb").read_bytes() == before


def test_assets_extra_travel_with_the_model(path):
    text = (path / "1" / "assets.extra" / "metrics.json").read_text()
    assert text == '{"proportion_wrong": 0.1}'


def test_signatures_name_their_inputs_and_outputs(solver):
    assert set(solver) == {
        "serving_default",
        "match",
        "match_at_temperature",
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
    }
    for name, expected in inputs.items():
        signature = solver[name]
        _, given = signature.structured_input_signature
        assert {key: spec.shape.as_list() for key, spec in given.items()} == expected
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
    found = solver["serving_default"](pieces=items)
    assert_answers(found, logits, 0.5)
    restored = st.permutations.apply(found["permutation"], items)
    np.testing.assert_array_equal(found["restored"], restored)
    np.testing.assert_array_equal(solver["twice"](pieces=items)["twice"], 2 * restored)


@pytest.mark.parametrize("batch", [1, 5])
def test_matching_of_given_logits(rng, solver, batch):
    logits = rng.normal(size=(batch, N, N)).astype(np.float32)
    assert_answers(solver["match"](logits=tf.constant(logits)), logits, 0.5)
    t = rng.uniform(0.2, 1, size=batch).astype(np.float32)
    found = solver["match_at_temperature"](
        logits=tf.constant(logits), temperature=tf.constant(t)
    )
    assert_answers(found, logits, t)


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
    found = solver["match_at_temperature"](
        logits=logits, temperature=tf.constant([-1.0, 1.0])
    )
    assert np.isnan(found["plan"][0]).all() and np.isfinite(found["plan"][1]).all()
    assert (found["permutation"].numpy() >= 0).all()


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


@keras.saving.register_keras_serializable(package="test_export")
class Compiled(keras.layers.Layer):
    def call(self, x):
        return tf.function(tf.math.tanh, jit_compile=True)(x)


@keras.saving.register_keras_serializable(package="test_export")
class InPython(keras.layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.numpy_function(np.tanh, [x], tf.float32), x.shape)


@pytest.mark.parametrize(
    "layer, received, existing",
    [(Compiled, "function .*tanh", False), (InPython, "op PyFunc", True)],
)
def test_refuses_what_serving_refuses_and_leaves_nothing_behind(
    tmp_path, layer, received, existing
):
    path = tmp_path / "solver"
    if existing:
        (path / "1").mkdir(parents=True)
    with pytest.raises(ValueError, match=f"Received: {received}"):
        st.export_solver(network(layer()), path, n_iters=1)
    assert os.listdir(path) == ["1"] if existing else not path.exists()


def test_layers_of_the_package_inside_the_network_and_the_next_version(rng, tmp_path):
    (tmp_path / "solver" / "9").mkdir(parents=True)
    (tmp_path / "solver" / "notes").mkdir()
    model = network(st.GumbelSinkhorn(n_iters=1, dtype="mixed_bfloat16"))
    written = st.export_solver(model, tmp_path / "solver", n_iters=1)
    assert written == str(tmp_path / "solver" / "10")
    # TensorFlow Serving may run as another user.
    assert stat.S_IMODE(os.stat(written).st_mode) & 0o055 == 0o055
    solver = tf.saved_model.load(written).signatures["serving_default"]
    items = draw_items(rng)
    expected = st.matching(tf.function(model)(items), jit_compile=False)
    np.testing.assert_array_equal(solver(pieces=items)["permutation"], expected)


class OutsideTheCore(keras.layers.Layer):
    def call(self, x):
        from tensorflow.compiler.tf2xla.python import xla

        # Nested: a function in a branch.
        inner = tf.function(
            lambda: tf.ensure_shape(xla.reduce_precision(x, 8, 7), x.shape)
        )
        return tf.cond(tf.reduce_sum(x) > 0, inner, lambda: x)


def test_refuses_ops_outside_the_core_registry(tmp_path):
    with pytest.raises(ValueError, match="Received: op XlaReducePrecision"):
        st.export_solver(network(OutsideTheCore()), tmp_path / "solver", n_iters=1)
    assert not (tmp_path / "solver").exists()


def test_an_interrupted_export_leaves_no_version(model, path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_servable, "refuse_what_serving_refuses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        st.export_solver(model, path, n_iters=1)
    assert sorted(os.listdir(path)) == ["1", "2"]


def test_a_number_that_another_export_takes_meanwhile_is_left_to_it(
    model, tmp_path, monkeypatch
):
    path = tmp_path / "solver"

    def other(*_, **__):
        (path / "1").mkdir()
        (path / "1" / "saved_model.pb").touch()

    monkeypatch.setattr(_servable, "refuse_what_serving_refuses", other)
    numbers = [1, 2]
    monkeypatch.setattr(export, "_next_version", lambda _: numbers.pop(0))
    assert st.export_solver(model, path, n_iters=1) == str(path / "2")
    assert os.listdir(path / "1") == ["saved_model.pb"]


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
    found = solver["serving_default"](pieces=items, digit=digit)
    expected = st.matching(model([items, digit]))
    np.testing.assert_array_equal(found["permutation"], expected)
    np.testing.assert_array_equal(
        found["restored"], st.permutations.apply(expected, items)
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
    found, expected = (
        tf.saved_model.load(x).signatures["serving_default"](pieces=items)
        for x in (compiled, plain)
    )
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-6, err_msg=name)


def unbuilt():
    return keras.Sequential([keras.layers.Dense(N)])


def of_outputs(*functions):
    pieces = keras.Input((N, 3), name="pieces")
    logits = keras.layers.Dense(N)(pieces)
    return keras.Model(pieces, [function(logits) for function in functions])


SPEC = tf.TensorSpec([None, N, 3], name="pieces")
SAME = lambda x: x


@pytest.mark.parametrize(
    "make, options, sentence",
    [
        (unbuilt, {}, "Received: <Sequential"),
        (lambda: "model", {}, "Received: 'model'"),
        (lambda: of_outputs(lambda x: x[:, :2]), {}, "(None, 2, 4)"),
        (lambda: of_outputs(SAME, lambda x: x[:, :, :1]), {}, "(None, 4, 1)"),
        (lambda: of_outputs(SAME, SAME, SAME), {}, "(None, 4, 4), (None, 4, 4), "),
        (network, {"version": -1}, "Received: -1"),
        (network, {"version": 2.5}, "Received: 2.5"),
        (network, {"signatures": {"match": (SAME, SPEC)}}, "Received: 'match'"),
        (
            network,
            {"signatures": {"bare": (lambda solve, x: x, SPEC)}},
            "signature bare has to return a dict",
        ),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(make, options, sentence, tmp_path):
    with pytest.raises((TypeError, ValueError), match=re.escape(sentence)) as caught:
        st.export_solver(make(), tmp_path / "solver", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "solver").exists()


@pytest.mark.parametrize("name", ["solver", "solver_xla"])
def test_a_file_is_not_a_directory_of_versions(name, model, tmp_path):
    (tmp_path / name).write_text("")
    with pytest.raises(FileExistsError, match=f"Received: .*{name}$"):
        st.export_solver(model, tmp_path / "solver", jit_variant=True)
    assert os.listdir(tmp_path) == [name]


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
