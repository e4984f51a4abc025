"""Models as stock TensorFlow Serving runs them: the C API, without XLA or Python.

The process that answers never imports tensorflow or this project (it checks that
itself), and disables XLA on the processor as the server does.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from tensorflow.core.protobuf import saved_model_pb2

import sinkhorn_tf as st
from pipelines.shared import datasets
from pipelines.shared.puzzles import batches
from tests.serving.runner import SAVED, run

SIZE = 9


@pytest.fixture(scope="module")
def digits():
    """1,000 puzzles of 3 x 3 pieces, some of them black, `[1000, 9, 3, 3, 1]`."""
    images = datasets.load("digits", "train", size=SIZE).images[:1000]
    order = np.arange(len(images))
    (puzzle,) = batches.evaluation_puzzles(images, order, grid=3, batch_size=1000)
    return puzzle["pieces"].numpy()


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return st.networks.jigsaw_network(
        9, (3, 3, 1), "context", width=8, depth=1, heads=2
    )


def best(logits):
    return np.array([linear_sum_assignment(x, maximize=True)[1] for x in logits])


def save(path, function, spec):
    module = tf.Module()
    module.function = tf.function(function, [spec], autograph=False)
    tf.saved_model.save(module, str(path), {"serving_default": module.function})
    return path


def random_inputs(version, rng):
    """A batch of 4 for each signature of a SavedModel."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((version / "saved_model.pb").read_bytes())

    def random_input(info):
        shape = [4, *(d.size for d in info.tensor_shape.dim[1:])]
        dtype = tf.dtypes.as_dtype(info.dtype).as_numpy_dtype
        return rng.uniform(0.1, 1, shape).astype(dtype)

    return {
        name: {key: random_input(info) for key, info in signature.inputs.items()}
        for name, signature in model.meta_graphs[0].signature_def.items()
        if signature.method_name == "tensorflow/serving/predict"
    }


class Words(keras.layers.Layer):
    """Words of numbers: the runner sends no strings."""

    def call(self, x):
        return tf.strings.as_string(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, "string")


@pytest.fixture(scope="module")
def lookup():
    """A network with a lookup table, in half precision, and its inputs."""
    keras.utils.set_random_seed(0)
    items = keras.Input((3,), dtype="int64", name="items")
    index = keras.layers.StringLookup(vocabulary=["3", "14", "-15"])(Words()(items))
    x = keras.layers.Embedding(4, 3, dtype="mixed_bfloat16")(index)
    model = keras.Model(items, keras.layers.Dense(3, dtype="mixed_bfloat16")(x))
    return model, np.array([[14, -15, 3], [9, 3, 14]])


@pytest.fixture(scope="module")
def answers(tmp_path_factory, network, digits, lookup):
    """The answers of every model and signature, and of two that must fail, by name."""
    folder = tmp_path_factory.mktemp("c_api")
    rng = np.random.default_rng(0)
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")

    def jitted(x):
        return {"y": tf.function(tf.math.tanh, jit_compile=True)(x)}

    def python(x):
        return {"y": tf.numpy_function(np.tanh, [x], tf.float32)}

    def odd(solve, pieces):
        return {"die Größe": solve(pieces)["value"]}

    x = {"x": np.zeros([2, 3], np.float32)}
    jobs = {
        "jitted": (save(folder / "jitted", jitted, spec), "serving_default", x),
        "python": (save(folder / "python", python, spec), "serving_default", x),
    }
    fresh = st.export_solver(
        network,
        folder / "fresh",
        n_iters=5,
        signatures={
            "a & b": (odd, tf.TensorSpec([None, SIZE, 3, 3, 1], name="pieces"))
        },
    )
    jobs["fresh"] = (fresh, "serving_default", {"pieces": digits})
    jobs["odd"] = (fresh, "a & b", {"pieces": digits})
    model, items = lookup
    words = st.export_solver(model, folder / "words", n_iters=5)
    jobs["words"] = (words, "serving_default", {"items": items})
    for path in SAVED.iterdir():
        version = max(path.iterdir(), key=lambda p: int(p.name))
        for name, inputs in random_inputs(version, rng).items():
            jobs[path.name, name] = (version, name, inputs)
    results = run(folder, jobs.values())
    return dict(zip(jobs, zip(jobs.values(), results, strict=True), strict=True))


@pytest.mark.parametrize(
    "name, code, message",
    [("jitted", 13, "XLA compilation disabled"), ("python", 3, "'PyFunc'")],
)
def test_what_the_exporter_refuses_fails_there(answers, name, code, message):
    received, said = answers[name][1]
    assert received == code and message in said


def test_every_model_and_signature_answers(answers):
    of_models = {key: value for key, value in answers.items() if isinstance(key, tuple)}
    assert {name for name, _ in of_models} == {path.name for path in SAVED.iterdir()}
    for (_, signature), ((_, _, inputs), answer) in of_models.items():
        perm = answer["permutation"]
        ordered = np.sort(perm, axis=1)
        assert (ordered == np.arange(perm.shape[1])).all() and perm.dtype == np.int32
        assert (answer["gap"] >= 0).all()
        assert np.abs(answer["plan"].sum(1) - 1).max() < 1e-4
        if signature == "serving_default":
            # Beside the items there may be what is wanted of each example.
            items = max(inputs.values(), key=np.ndim)
            for k, places in enumerate(perm):
                np.testing.assert_array_equal(answer["restored"][k, places], items[k])
        if signature.startswith("match"):
            np.testing.assert_array_equal(perm, best(inputs["logits"]))


def test_the_permutations_are_those_of_the_keras_model(answers, network, digits):
    answer = answers["fresh"][1]
    logits = network.predict(digits, verbose=0).astype(np.float64)
    expected = best(logits)

    def value(perm):
        return np.take_along_axis(logits, perm[:, :, None], 2).sum((1, 2))

    # Equal pieces, and what differs by less than the rounding of the logits.
    np.testing.assert_allclose(value(answer["permutation"]), value(expected), atol=1e-5)
    pieces = digits.reshape(1000, 9, -1)
    equal = (pieces[:, :, None] == pieces[:, None]).all(3).sum((1, 2)) > 9
    same = (answer["permutation"] == expected).all(1)
    assert (same | equal).mean() >= 0.999 and same[~equal].size >= 100
    assert (answer["gap"] >= 0).all() and (answer["gap"] <= 1e-12).all()
    # Signatures and outputs may have any names.
    np.testing.assert_array_equal(answers["odd"][1]["die Größe"], answer["value"])


def test_lookup_tables_travel_and_half_precision_stays_inside(answers, lookup):
    model, items = lookup
    answer = answers["words"][1]
    logits = tf.cast(model(items), tf.float64).numpy()
    np.testing.assert_array_equal(answer["permutation"], best(logits))
    value = np.take_along_axis(logits, best(logits)[..., None], 2).sum((1, 2))
    np.testing.assert_allclose(answer["value"], value, atol=0.02)
    assert answer["plan"].dtype == np.float32
    np.testing.assert_allclose(answer["plan"].sum(1), 1, atol=1e-6)
    for k, places in enumerate(answer["permutation"]):
        np.testing.assert_array_equal(answer["restored"][k, places], items[k])


def test_gaps_of_a_trained_model_on_1000_puzzles(tmp_path):
    images = datasets.load("digits", "train", size=8).images[:1000]
    order = np.arange(len(images))
    (puzzle,) = batches.evaluation_puzzles(images, order, grid=2, batch_size=1000)
    inputs = {"pieces": puzzle["pieces"].numpy()}
    version = SAVED / "jigsaw_digits" / "1"
    (answer,) = run(tmp_path, [(version, "serving_default", inputs)])
    assert (answer["gap"] >= 0).all()
    assert (answer["gap"] == 0).mean() >= 0.9
