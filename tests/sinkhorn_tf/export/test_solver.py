import functools
import os
import re
import stat

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf.export import _interface, _servable, _signatures, _versions

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
    monkeypatch.setattr(_versions, "next_version", lambda _: numbers.pop(0))
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
        (lambda: of_outputs(lambda x: x[:, :2]), {}, "with N = 2 as in the logits"),
        (lambda: of_outputs(lambda x: x[:, 0]), {}, "(None, 4)"),
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


def ends(make, n=N):
    """A model from pieces to the outputs `make(pieces, logits)`."""
    pieces = keras.Input((n, 3), name="pieces")
    return keras.Model(pieces, make(pieces, keras.layers.Dense(N)(pieces)))


def soft(logits, **options):
    return st.SinkhornLayer(0.1, name="soft", **options)(logits)


def draws(logits):
    return st.GumbelSinkhorn(n_samples=2, name="soft")(logits)


def square(pieces):
    """Items of N numbers each, which could be taken for logits."""
    return keras.layers.Dense(N)(pieces)


def nested(make):
    inner, outer = ends(make), keras.Input((N, 3), name="pieces")
    return keras.Model(outer, inner(outer))


def handed_on(plan):
    """Through an identity, and through a nested model of nothing but identities."""
    entry = keras.Input((N, N))
    through = keras.Model(entry, keras.layers.Activation("linear")(entry))
    return keras.ops.transpose(
        through(through(keras.layers.Identity()(plan))), (0, 2, 1)
    )


WAY = "keras.Model(model.inputs, model.get_layer('soft').input)"


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: ends(lambda _, x: soft(x)), WAY),
        (lambda: ends(lambda _, x: soft(x, hard=True)), WAY),
        (lambda: ends(lambda _, x: {"scores": soft(x)}), WAY),
        (lambda: ends(lambda _, x: [soft(x), x]), WAY),
        (lambda: ends(lambda _, x: {"logits": soft(x), "plan": x}), WAY),
        (lambda: ends(lambda _, x: draws(x)[:, 0]), WAY),
        (lambda: ends(lambda _, x: keras.ops.mean(draws(x), axis=1)), WAY),
        (lambda: ends(lambda _, x: handed_on(soft(x))), WAY),
        (lambda: ends(lambda a, x: st.Restore()([soft(x), a])), WAY),
        (lambda: ends(lambda a, x: st.Restore()([soft(x), square(a)])), WAY),
        (lambda: ends(lambda _, x: st.Matching(name="soft")(x)), WAY),
        (
            lambda: keras.Sequential(
                [*ends(lambda _, x: x).layers, st.SinkhornLayer(name="soft")]
            ),
            WAY,
        ),
        (lambda: nested(lambda _, x: soft(x)), "the output of SinkhornLayer 'soft'"),
        (
            lambda: ends(lambda a, x: [x, st.Restore()([soft(x), square(a)])]),
            "The second output of the model has to be a plan",
        ),
    ],
)
def test_a_permutation_is_not_taken_for_logits(make, sentence, tmp_path):
    model = make()
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        st.export_solver(model, tmp_path / "solver")
    assert "\n" not in str(caught.value)
    if sentence == WAY:
        (tensor,) = model.get_layer("soft")._inbound_nodes[0].input_tensors
        advised = eval(WAY, {"keras": keras, "model": model})
        assert advised.outputs == [tensor]
        assert _interface.to_interface(advised).n == N


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda _, x: {"a": x, "b": soft(x)}, "\"plan\". Received: 'a', 'b'"),
        (lambda _, x: {"logits": x, "soft": soft(x)}, "Received: 'logits', 'soft'"),
        (lambda _, x: {"plan": soft(x)}, "Received: 'plan'"),
        (lambda _, x: {"logits": x, "plan": soft(x), "z": x}, "'z': (None, 4, 4)"),
        (lambda _, x: {"a": {"b": x}}, "{'a': {'b': (None, 4, 4)}}"),
        (lambda _, x: [[x], x], "[(None, 4, 4)], (None, 4, 4)"),
    ],
)
def test_outputs_need_names(make, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        st.export_solver(ends(make), tmp_path / "solver")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "outputs",
    [
        lambda x, plan: {"scores": x, "plan": plan},
        lambda x, plan: {"plan": plan, "logits": x},
        lambda x, plan: {"zeros": x},
        lambda x, plan: [x],
        lambda x, plan: (x, plan),
    ],
)
@pytest.mark.parametrize(
    "inputs",
    [
        lambda pieces, digit: {"pieces": pieces, "digit": digit},
        lambda pieces, digit: {"digit": digit, "pieces": pieces},
        lambda pieces, digit: [digit, pieces],
        lambda pieces, digit: {"pair": {"pieces": pieces}, "more": (digit,)},
    ],
)
def test_inputs_and_outputs_in_any_structure(rng, inputs, outputs):
    pieces, digit = keras.Input((N, 3), name="pieces"), keras.Input((2,), name="digit")
    logits = square(pieces) * keras.layers.Dense(N)(digit)[:, None]
    plan = soft(logits)
    structure = inputs(pieces, digit)
    model = keras.Model(structure, outputs(logits, plan))
    interface = _interface.to_interface(model)
    names = [spec.name for spec in interface.specs]
    assert names[interface.items] == "pieces" and sorted(names) == ["digit", "pieces"]
    if isinstance(structure, dict) and "digit" in structure:
        assert names == list(structure)
    values = {"pieces": draw_items(rng, 2), "digit": tf.ones([2, 2])}
    actual = interface.logits_and_plan(model, [values[name] for name in names])
    alone = keras.Model([pieces, digit], [logits, plan])
    expected = alone([values["pieces"], values["digit"]])
    np.testing.assert_array_equal(actual[0], expected[0])
    if len(model.outputs) == 2:
        np.testing.assert_array_equal(actual[1], expected[1])
    else:
        assert actual[1] is None


def test_names_decide_what_is_matched_and_what_is_restored(rng, tmp_path):
    pieces, digit = keras.Input((N, 3), name="pieces"), keras.Input((N,), name="digit")
    scores = square(pieces) + digit[:, None]
    # Both fit [B, N, ...], and Keras sorts the keys.
    model = keras.Model(
        {"pieces": pieces, "digit": digit}, {"scores": scores, "plan": soft(scores)}
    )
    path = st.export_solver(model, tmp_path / "solver", n_iters=1)
    solver = tf.saved_model.load(path).signatures["serving_default"]
    inputs = {"pieces": draw_items(rng), "digit": tf.range(5 * N, delta=1.0)}
    inputs["digit"] = tf.reshape(inputs["digit"], [5, N])
    actual, expected = solver(**inputs), model(inputs)
    logits = expected["scores"].numpy().astype(np.float64)
    perm = np.array([linear_sum_assignment(-x)[1] for x in logits])
    np.testing.assert_array_equal(actual["permutation"], perm)
    value = np.take_along_axis(logits, perm[..., None], -1).sum((1, 2))
    np.testing.assert_allclose(actual["value"], value, rtol=1e-6)
    np.testing.assert_allclose(actual["plan"], expected["plan"], atol=1e-6)
    np.testing.assert_array_equal(
        actual["restored"], st.permutations.apply(perm, inputs["pieces"])
    )


class Table(keras.layers.Layer):
    """Looks words up in a table that it does not tell Keras of."""

    def __init__(self, table):
        super().__init__()
        self.lookup = lambda x: table.lookup(x)

    def call(self, x):
        return tf.cast(self.lookup(x), tf.float32)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, "float32")


class Scaled(keras.layers.Layer):
    """Has a tf.Variable, and one more in a tf.Module."""

    def build(self, shape):
        self.factor = tf.Variable([1.0, -2.0, 0.5, 3.0])
        self.module = tf.Module()
        self.module.offsets = [tf.Variable([0.0, 0.1, 0.2, 0.7])]

    def call(self, x):
        return self.factor * x + self.module.offsets[0]


def test_tables_and_variables_that_keras_does_not_know_of_are_saved(tmp_path):
    keras.utils.set_random_seed(0)
    file = tmp_path / "lengths.txt"
    file.write_text("ein\t3\nzwei\t4\nvier\t-4\n")
    numbers = tf.lookup.TextFileInitializer(
        str(file), tf.string, 0, tf.int64, 1, delimiter="\t"
    )
    lengths = tf.lookup.StaticHashTable(numbers, 7)
    words = keras.Input((N,), dtype="string", name="words")
    index = keras.layers.StringLookup(vocabulary=["ein", "zwei", "drei"])(words)
    x = keras.layers.Embedding(4, N)(index) + Table(lengths)(words)[..., None]
    model = keras.Model(words, Scaled()(keras.layers.Dense(N)(x)))
    extra = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["ein"], [1.5]), -1.0
    )
    factor = tf.Variable(2.0)
    path = st.export_solver(
        model,
        tmp_path / "solver",
        n_iters=1,
        version=np.int64(3),
        temperature=tf.Variable(0.5),
        signatures={
            "extra": (
                lambda solve, words: {
                    "number": factor * extra.lookup(words),
                    "value": solve(words)["value"],
                },
                tf.TensorSpec([None, N], tf.string),
            )
        },
    )
    assert os.path.basename(path) == "3"
    words = tf.constant([["ein", "zwei", "drei", "vier"], ["vier", "ein", "-", "zwei"]])
    logits = model(words).numpy()
    file.unlink()
    solver = tf.saved_model.load(path).signatures
    actual = solver["serving_default"](words=words)
    perm = np.array([linear_sum_assignment(-x)[1] for x in logits])
    np.testing.assert_array_equal(actual["permutation"], perm)
    value = np.take_along_axis(logits, perm[..., None], -1).sum((1, 2))
    np.testing.assert_allclose(actual["value"], value, rtol=1e-6)
    plan = st.sinkhorn(logits, 0.5, 1, jit_compile=False)
    np.testing.assert_allclose(actual["plan"], plan, atol=1e-6)
    restored = np.empty(words.shape, object)
    np.put_along_axis(restored, perm, words.numpy(), 1)
    np.testing.assert_array_equal(actual["restored"].numpy(), restored)
    answer = solver["extra"](words=words)
    np.testing.assert_array_equal(answer["number"][0], [3.0, -2.0, -2.0, -2.0])
    np.testing.assert_array_equal(answer["value"], actual["value"])
    with pytest.raises(ValueError, match="Received: input words of strings"):
        st.export_solver(model, tmp_path / "other", n_iters=1, jit_variant=True)


def test_what_no_saved_model_holds_is_one_sentence(tmp_path):
    iterator = iter(tf.data.Dataset.range(9))
    table = type("Iterated", (), {"lookup": lambda self, x: x + next(iterator)})()
    items = keras.Input((N, N), dtype="int64", name="items")
    model = keras.Model(items, Table(table)(items))
    with pytest.raises(ValueError, match="holds what no SavedModel can") as caught:
        st.export_solver(model, tmp_path / "solver", n_iters=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "solver").exists()


def halves(dtype, policy, plan):
    pieces = keras.Input((N, 3), name="pieces", dtype=dtype)
    logits = keras.layers.Dense(N, dtype=policy)(pieces)
    own = [st.SinkhornLayer(0.1, dtype=policy)(logits)] if plan else []
    return keras.Model(pieces, [logits, *own])


@pytest.mark.parametrize(
    "dtype, policy, plan",
    [
        ("float32", "mixed_float16", True),
        ("float32", "mixed_bfloat16", False),
        ("float16", "float64", True),
        ("float64", "float64", False),
    ],
)
def test_floats_are_served_as_float32(rng, dtype, policy, plan):
    model = halves(dtype, policy, plan)
    solver = _signatures.Solver(model, _interface.to_interface(model), 0.1, 3)
    signatures = {"serving_default": solver.signatures()["serving_default"]}
    served = _signatures.to_functions(signatures, None)
    solver = served["serving_default"].get_concrete_function()
    (spec,) = served["serving_default"].input_signature
    assert spec.dtype == (dtype if dtype == "float64" else "float32")
    dtypes = {"permutation": "int32", "value": "float64", "gap": "float64"}
    for name, output in solver.structured_outputs.items():
        assert output.dtype == dtypes.get(name, "float32")
    items = tf.cast(draw_items(rng), spec.dtype)
    actual = solver(items)
    logits, *own = keras.tree.flatten(model(tf.cast(items, dtype)))
    exact = tf.cast(logits, tf.float64).numpy()
    perm = np.array([linear_sum_assignment(-x)[1] for x in exact])
    np.testing.assert_array_equal(actual["permutation"], perm)
    value = np.take_along_axis(exact, perm[..., None], -1).sum((1, 2))
    np.testing.assert_allclose(actual["value"], value, rtol=1e-14)
    if own:
        np.testing.assert_array_equal(actual["plan"], tf.cast(own[0], tf.float32))
    else:
        plan = st.sinkhorn(exact, 0.1, 3, jit_compile=False)
        np.testing.assert_allclose(actual["plan"], plan, atol=1e-5)
    # Not rounded to half precision on the way.
    np.testing.assert_array_equal(
        actual["restored"], st.permutations.apply(perm, tf.cast(items, tf.float32))
    )


def test_half_precision_in_further_signatures(model):
    spec = tf.TensorSpec([None], tf.bfloat16, name="x")
    received = []

    def function(solve, x):
        received.append(x.dtype)
        return {"half": tf.cast(x, tf.float16), "double": tf.cast(x, tf.float64)}

    (signature,) = _signatures.to_signatures({"more": (function, spec)}, {}).values()
    signature = _signatures.bind_solve(signature, solve=None)
    (served,) = _signatures.to_functions({"more": signature}, None).values()
    answer = served(tf.constant([1 / 3]))
    assert received == [tf.bfloat16]
    assert {name: x.dtype.name for name, x in answer.items()} == {
        "half": "float32",
        "double": "float64",
    }
    assert answer["double"].numpy() == float(tf.cast(1 / 3, tf.bfloat16))


def signature(function=lambda solve, x: {"y": x}, spec=None, name="more"):
    return {"signatures": {name: (function, spec or tf.TensorSpec([None], name="x"))}}


TWICE = [tf.TensorSpec([None], name="a.b"), tf.TensorSpec([None], name="a/b")]


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"version": True}, "version must be an int >= 0. Received: True"),
        ({"version": "1"}, "Received: '1'"),
        ({"version": np.int64(-1)}, "Received: np.int64(-1)"),
        ({"temperature": "a"}, "Received: temperature='a'"),
        ({"temperature": 2 + 1j}, "Received: temperature=(2+1j)"),
        ({"temperature": True}, "Received: temperature=True"),
        ({"temperature": float("nan")}, "Received: temperature=nan"),
        ({"temperature": [0.1, 0.2]}, "Received: temperature=[0.1, 0.2]"),
        ({"temperature": np.zeros(())}, "Received: temperature=array(0.)"),
        ({"n_iters": 1.5}, "Received: n_iters=1.5"),
        ({"n_iters": -1}, "Received: n_iters=-1"),
        ({"jit_variant": "no"}, "Received: 'no'"),
        ({"assets_extra": ["x"]}, "Received: ['x']"),
        ({"assets_extra": {"a": 1}}, "Received: 'a': int"),
        ({"assets_extra": {"../a": "x"}}, "Received: '../a'"),
        ({"signatures": [1]}, "Received: [1]"),
        ({"signatures": {"more": 1}}, "Received: 1"),
        (signature(name="variables"), "Received: 'variables'"),
        (signature(name="weights"), "Received: 'weights'"),
        (signature(spec=3), "Received: (<function"),
        (signature(function=3), "Received: (3, TensorSpec"),
        (signature(spec=TWICE), "Received: a_b, a_b"),
        (signature(spec=tf.TensorSpec([None], name="größe")), "Received: 'größe'"),
        (
            {"warmup_examples": [[[1, 2, 3], [1]]]},
            "Received: lists of different lengths",
        ),
        ({"warmup_examples": [[["a"]]]}, "Received: <U1"),
        ({"path": 3}, "Received: 3"),
        ({"path": ""}, "Received: ''"),
    ],
)
def test_a_bad_argument_is_one_sentence(
    model, options, sentence, tmp_path, monkeypatch
):
    # Nothing of this needs what a signature computes.
    nothing = lambda functions: _servable.Resources([], [])
    monkeypatch.setattr(_servable, "resources", nothing)
    options = {"path": tmp_path / "solver", **options}
    with pytest.raises((TypeError, ValueError), match=re.escape(sentence)) as caught:
        st.export_solver(model, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "solver").exists()


@pytest.mark.parametrize(
    "function, sentence",
    [
        (lambda solve, x: {"a": {"b": x}}, "Received: 'a': dict"),
        (lambda solve, x: {1: x}, "Received: 1: SymbolicTensor"),
    ],
)
def test_signatures_return_dicts_of_tensors(function, sentence):
    spec = tf.TensorSpec([None], name="x")
    signature = _signatures.Signature(functools.partial(function, None), (spec,))
    (served,) = _signatures.to_functions({"more": signature}, None).values()
    with pytest.raises(TypeError, match=re.escape(sentence)):
        served.get_concrete_function()


@pytest.mark.parametrize(
    "make, sentence",
    [
        (
            lambda: keras.Sequential(
                [
                    keras.Input((3,)),
                    keras.layers.Dense(N * N),
                    keras.layers.Reshape((N, N)),
                ]
            ),
            "Received: inputs of the shapes (None, 3)",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((N, 3), name="die Größe"), keras.layers.Dense(N)]
            ),
            "Received: 'die Größe'",
        ),
    ],
)
def test_inputs_have_names_and_hold_the_items(make, sentence, tmp_path):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        st.export_solver(make(), tmp_path / "solver")
    assert "\n" not in str(caught.value)


class OwnModel(keras.Model):
    """A model whose history ends at itself."""

    def __init__(self):
        super().__init__()
        self.plan = st.SinkhornLayer(0.1)

    def call(self, inputs):
        return self.plan(inputs)


@pytest.mark.parametrize(
    "end", [OwnModel(), keras.layers.Lambda(lambda x: st.sinkhorn(x, 0.1))]
)
def test_a_plan_without_a_history_is_told_by_its_numbers(tmp_path, end):
    scores = keras.Input((3, 3))
    model = keras.Model(scores, end(scores))
    with pytest.raises(ValueError, match="columns that sum to 1"):
        st.export_solver(model, tmp_path / "solver")
    assert not (tmp_path / "solver").exists()
