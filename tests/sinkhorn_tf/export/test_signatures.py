"""Dtypes that are served, and what signatures return."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st
from sinkhorn_tf.export import _interface, _signatures
from tests.sinkhorn_tf.export.small_networks import N, draw_items


def halves(dtype, policy, plan):
    # With other weights, a sum that cancels could miss the tolerance.
    keras.utils.set_random_seed(0)
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
