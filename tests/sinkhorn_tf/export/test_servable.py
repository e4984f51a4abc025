"""What a SavedModel takes along of a network, and what cannot be served."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from tests.sinkhorn_tf.export.small_networks import N, network


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
