"""Eager calls of sizes that few have: the answers of plain graphs, few compilations."""

import functools
import logging

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf._core import padding
from sinkhorn_tf._core.compilation import compiled_when_eager

SHAPES = [(2, 2), (7, 7), (26, 26), (3, 7), (11, 6)]


def test_common_sizes():
    assert [padding.common_size(n) for n in (1, 4, 5, 9, 10, 17, 26)] == [
        4,
        4,
        9,
        9,
        16,
        25,
        32,
    ]
    sizes = {padding.common_size(n) for n in range(5, 25)}
    assert sizes == {9, 16, 25}
    # Shapes of the tables of results are compiled as they are.
    for n in (9, 36, 64, 100, 128, 256, 512, 1024, 2048):
        assert padding.common_size(n) == n
    # From N = 100 on, at most half of the work is added.
    assert all(padding.common_size(n) ** 2 < 1.5 * n**2 for n in range(100, 1500))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_iters", [0, 3])
def test_plans_and_gradients_are_those_of_plain_graphs(rng, shape, n_iters):
    logits = tf.constant(rng.normal(size=(2, 3, *shape)))
    temperature = tf.constant(rng.uniform(0.5, 2, size=(3,)))
    weights = rng.normal(size=logits.shape)

    def results(jit_compile):
        with tf.GradientTape() as tape:
            tape.watch([logits, temperature])
            plan = st.sinkhorn(logits, temperature, n_iters, jit_compile=jit_compile)
            loss = tf.reduce_sum(plan * weights)
        return [plan, *tape.gradient(loss, [logits, temperature])]

    for padded, plain in zip(results(None), results(False), strict=True):
        assert padded.shape == plain.shape
        np.testing.assert_allclose(padded, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(7, 7), (7, 12)])
@pytest.mark.parametrize("given", ["masks", "row_mask", "marginals", "col_marginals"])
def test_masks_and_masses_are_those_of_plain_graphs(rng, shape, given):
    n, m = shape
    logits = rng.normal(size=(4, n, m))
    rows, cols = np.arange(n) < n - 2, rng.random((4, m)) < 0.8
    masses = rng.uniform(1, 2, (4, m))
    options = {
        "masks": {"row_mask": rows, "col_mask": cols},
        "row_mask": {"row_mask": rows},
        "marginals": {"row_marginals": masses.sum(1)[:, None] * np.ones(n) / n}
        | {"col_marginals": masses},
        "col_marginals": {"col_marginals": masses},
    }[given]
    padded = st.sinkhorn(logits, **options)
    plain = st.sinkhorn(logits, **options, jit_compile=False)
    np.testing.assert_allclose(padded, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((7, 7), "float64"),
        ((10, 10), "int32"),
        ((26, 26), "float16"),
        ((3, 7), "int32"),
        ((11, 6), "float64"),
    ],
)
def test_matchings_are_those_of_plain_graphs(rng, shape, dtype):
    logits = (100 * rng.normal(size=(5, *shape))).astype(dtype)
    plain = st.certified_matching(logits, jit_compile=False)
    certified = st.certified_matching(logits)
    for perm in (st.matching(logits), certified.perm):
        np.testing.assert_allclose(_value(logits, perm), plain.value, rtol=1e-12)
    np.testing.assert_allclose(certified.value, plain.value, rtol=1e-12)
    np.testing.assert_array_equal(certified.gap == 0, plain.gap == 0)


def _value(logits, perm):
    terms = tf.gather(tf.cast(logits, tf.float64), tf.maximum(perm, 0), batch_dims=2)
    return tf.reduce_sum(tf.where(perm < 0, 0, terms), axis=1)


@pytest.mark.parametrize("shape", [(12, 12), (3, 7)])
def test_partial_plans_and_matchings_are_those_of_plain_graphs(rng, shape):
    logits = rng.normal(size=(4, *shape))
    padded = st.partial_sinkhorn(logits, 0.5)
    plain = st.partial_sinkhorn(logits, 0.5, jit_compile=False)
    for one, other in zip(padded, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    padded = st.partial_matching(logits, 0.5, certified=True)
    plain = st.partial_matching(logits, 0.5, certified=True, jit_compile=False)
    np.testing.assert_array_equal(padded.perm, plain.perm)
    np.testing.assert_allclose(padded.value, plain.value, rtol=1e-12)
    perm = st.partial_matching(logits, 0.5)
    np.testing.assert_array_equal(perm, plain.perm)


@pytest.mark.parametrize("n", [7, 40])
def test_selections_are_those_of_plain_graphs(rng, n):
    values = rng.normal(size=(3, n))
    values[0, 0] = -np.inf
    mask = rng.random((3, n)) < 0.7
    for options in ({}, {"mask": mask}):
        padded = st.soft_top_k(values, min(n, 3), 0.3, **options)
        plain = st.soft_top_k(values, min(n, 3), 0.3, **options, jit_compile=False)
        np.testing.assert_allclose(padded, plain, rtol=1e-9, atol=1e-12)


def test_an_invalid_neighbour_changes_no_bit(rng):
    logits = rng.normal(size=(3, 7, 7)).astype(np.float32)
    before = st.sinkhorn(logits)[1:].numpy()
    logits[0, 2, 3] = np.nan
    plan = st.sinkhorn(logits).numpy()
    assert np.isnan(plan[0]).all()
    np.testing.assert_array_equal(plan[1:], before)
    perm = st.matching(logits).numpy()
    assert (perm[0] == -1).all()
    assert (np.sort(perm[1:]) == np.arange(7)).all()


def test_sizes_share_compilations_and_tensorflow_says_nothing(caplog):
    traced = []

    def double(x):
        traced.append(x.shape)
        return 2 * x

    def pad(x):
        padded, _, _ = padding.pad(x)
        n = x.shape[-1]
        return (padded,), lambda result: result[..., :n, :n]

    shared = compiled_when_eager(double, pad)
    with caplog.at_level(logging.WARNING):
        for n in range(5, 25):
            np.testing.assert_array_equal(shared(tf.eye(n)), 2 * np.eye(n))
            # This takes the shape as it is.
            shared(tf.eye(n), jit_compile=False)
    assert [shape[0] for shape in traced if shape[0] in (9, 16, 25)].count(25) == 1
    assert len(traced) == 20 + 3
    assert not caplog.records


def test_a_call_gives_the_same_bits_whatever_was_called_before(rng):
    logits = rng.normal(size=(2, 6, 6)).astype(np.float32)
    first = st.sinkhorn(logits, 0.7).numpy()
    for n in (9, 8, 5):
        st.sinkhorn(rng.normal(size=(2, n, n)).astype(np.float32), 0.7)
    np.testing.assert_array_equal(st.sinkhorn(logits, 0.7), first)


def test_a_trace_is_not_padded(rng):
    logits = rng.normal(size=(2, 5, 5)).astype(np.float32)
    compiled = functools.partial(tf.function, jit_compile=True)
    sizes = []

    @compiled
    def plan(x):
        result = st.sinkhorn(x)
        graph = tf.compat.v1.get_default_graph()
        sizes.extend(op.outputs[0].shape for op in graph.get_operations() if op.outputs)
        return result

    np.testing.assert_allclose(plan(logits), st.sinkhorn(logits), atol=1e-6)
    assert not any(shape.rank and 9 in shape for shape in sizes)
