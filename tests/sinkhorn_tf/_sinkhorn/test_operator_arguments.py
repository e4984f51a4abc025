"""What `sinkhorn` takes and refuses: dtypes, temperatures, batches."""

import math

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import (
    gradients,
    naive,
    operator,
    reference,
)

EYE = np.eye(3, dtype=np.float32)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("n_iters", [0, 3])
def test_dtype_is_kept(rng, name, n_iters):
    x = tf.cast(rng.normal(size=(2, 4, 4)), name)
    plan = st.sinkhorn(x, 0.3, n_iters, jit_compile=False)
    assert plan.dtype == name
    # Computed in float32 at least and rounded once.
    expected = tf.cast(reference(tf.cast(x, tf.float64), 0.3, n_iters), name)
    eps = {"float16": 1e-3, "bfloat16": 8e-3}.get(name, 1e-5)
    np.testing.assert_allclose(
        tf.cast(plan, tf.float64), tf.cast(expected, tf.float64), rtol=eps, atol=eps
    )


def test_low_precision_logits_keep_a_fine_temperature(rng):
    x = tf.cast(1e-8 * rng.normal(size=(2, 4, 4)), tf.bfloat16)
    plan = st.sinkhorn(x, 1e-8, 3, jit_compile=False)
    expected = reference(tf.cast(x, tf.float64), 1e-8, 3)
    np.testing.assert_allclose(tf.cast(plan, tf.float64), expected, rtol=8e-3)


@pytest.mark.parametrize("logits", [[[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]]])
def test_python_lists_mean_float32(logits):
    plan = st.sinkhorn(logits, 1, 3, jit_compile=False)
    assert plan.dtype == tf.float32
    np.testing.assert_allclose(plan, reference(logits, 1, 3), atol=1e-6)


@pytest.mark.parametrize(
    "arguments, error, received",
    [
        ({"logits": EYE.astype(np.int32)}, TypeError, "int32"),
        ({"logits": EYE.astype(bool)}, TypeError, "bool"),
        ({"row_mask": [True, False]}, ValueError, r"row_mask.shape=\(2,\)"),
        ({"col_mask": [1.0, 0.0, 1.0]}, TypeError, "col_mask.dtype=float32"),
        ({"col_mask": "all"}, TypeError, "col_mask.dtype=string"),
        ({"row_mask": [[True], [True, False]]}, TypeError, r"row_mask=\[\[True\]"),
        ({"logits": EYE[0]}, ValueError, r"\(3,\)"),
        ({"logits": 1.0}, ValueError, r"\(\)"),
        ({"logits": np.zeros((2, 0, 0), np.float32)}, ValueError, r"\(2, 0, 0\)"),
        ({"logits": [[1.0], [2.0, 3.0]]}, ValueError, r"\[\[1.0\], \[2.0, 3.0\]\]"),
        ({"logits": None}, ValueError, "None"),
        ({"temperature": 0}, ValueError, "temperature=0"),
        ({"temperature": -1.5}, ValueError, "temperature=-1.5"),
        ({"temperature": math.nan}, ValueError, "temperature=nan"),
        ({"temperature": math.inf}, ValueError, "temperature=inf"),
        ({"temperature": tf.constant(-2.0)}, ValueError, "-2"),
        ({"temperature": np.array([1, -3.0])}, ValueError, "-3"),
        ({"temperature": 1e-60}, ValueError, "1e-60"),
        ({"n_iters": -1}, ValueError, "n_iters=-1"),
        ({"n_iters": 2.0}, TypeError, "n_iters=2.0"),
        ({"n_iters": True}, TypeError, "n_iters=True"),
        ({"n_iters": tf.constant(3)}, TypeError, "n_iters="),
        ({"tolerance": 0.0}, ValueError, "tolerance=0"),
        ({"tolerance": -1.0}, ValueError, "tolerance=-1"),
        ({"tolerance": math.nan}, ValueError, "tolerance=nan"),
        ({"gradient": "exact"}, ValueError, "gradient='exact'"),
        ({"jit_compile": "auto"}, ValueError, "jit_compile='auto'"),
    ],
)
def test_errors_name_the_value_received(arguments, error, received):
    with pytest.raises(error, match=f"Received: .*{received}") as info:
        st.sinkhorn(**{"logits": EYE, **arguments})
    assert "\n" not in str(info.value)


def test_unknown_rank_is_an_error():
    function = tf.function(st.sinkhorn, input_signature=[tf.TensorSpec(None)])
    with pytest.raises(ValueError, match="rank"):
        function(EYE)


@pytest.mark.parametrize(
    "shape", [(), (1,), (3,), (3, 1), (2, 3), (2, 1)], ids=lambda shape: str(shape)
)
def test_temperature_broadcasts_against_the_batch(rng, shape):
    x = rng.normal(size=(3, 4, 4)).astype(np.float32)
    t = rng.uniform(0.5, 1.5, size=shape).astype(np.float32)
    plan = st.sinkhorn(x, t, 3, jit_compile=False)
    batch = np.broadcast_shapes((3,), shape)
    expected = reference(np.broadcast_to(x, (*batch, 4, 4)), t, 3)
    np.testing.assert_allclose(plan, expected, atol=1e-6)


def test_temperature_gradient_has_the_shape_of_the_temperature(rng):
    x = rng.normal(size=(3, 4, 4))
    t = rng.uniform(0.5, 1.5, size=(2, 1))
    weights = rng.normal(size=(2, 3, 4, 4))
    actual = gradients(operator(3), x, t, weights)
    expected = gradients(lambda x, t: naive(x[None], t, 3), x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-9)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_bad_temperature_in_a_trace_gives_nan_in_its_example(rng, jit_compile):
    x = rng.normal(size=(4, 4, 4)).astype(np.float32)
    function = tf.function(
        lambda x, t: st.sinkhorn(x, t, 3), jit_compile=jit_compile, autograph=False
    )
    good = function(x, tf.constant([1.0, 1.0, 1.0, 1.0])).numpy()
    plan = function(x, tf.constant([1.0, 0.0, -1.0, np.inf])).numpy()
    np.testing.assert_array_equal(plan[0], good[0])
    assert np.isnan(plan[1:]).all()


@pytest.mark.parametrize("temperature", [-1.0, np.float32(0), tf.constant(-1.0)])
def test_bad_temperature_known_outside_a_trace_raises_inside_it(temperature):
    with pytest.raises(ValueError, match="Received: temperature="):
        tf.function(lambda x: st.sinkhorn(x, temperature), autograph=False)(EYE)


@pytest.mark.parametrize("batch", [(), (0,), (2,), (2, 1, 3), (2, 0)])
def test_any_leading_dimensions(rng, batch):
    x = rng.normal(size=(*batch, 4, 4)).astype(np.float32)
    plan = st.sinkhorn(x, 0.5, 3, jit_compile=False)
    assert plan.shape == (*batch, 4, 4)
    if plan.shape.num_elements():
        np.testing.assert_allclose(plan, reference(x, 0.5, 3), atol=1e-6)


def test_empty_batch_has_an_empty_gradient():
    x = np.zeros((0, 4, 4), np.float32)
    to_x, to_t = gradients(operator(3), x, np.float32(1), x)
    assert to_x.shape == (0, 4, 4) and to_t == 0


@pytest.mark.parametrize("shape", [[None, 4, 4], [None, None, None], [2, None, None]])
def test_unknown_sizes_in_a_graph(rng, shape):
    function = tf.function(
        lambda x: st.sinkhorn(x, 0.5, 3), input_signature=[tf.TensorSpec(shape)]
    )
    assert function.get_concrete_function().outputs[0].shape.as_list() == shape
    for batch in (2,) if shape[0] else (2, 5, 0):
        x = rng.normal(size=(batch, 4, 4)).astype(np.float32)
        expected = reference(x, 0.5, 3) if batch else x
        np.testing.assert_allclose(function(x), expected, atol=1e-6)
