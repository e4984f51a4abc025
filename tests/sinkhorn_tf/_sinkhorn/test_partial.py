"""`partial_sinkhorn` against the formula of SuperGlue.

Its hard limit is in the tests of `partial_matching`.
"""

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import logsumexp, random_masks


def reference(x, score, t, n_iters):
    """Sarlin et al. (2020) in the log domain, of one matrix `[N, M]`, with dustbins."""
    n, m = x.shape
    z = np.full((n + 1, m + 1), float(score))
    z[:n, :m] = x
    with np.errstate(divide="ignore"):
        log_rows = np.log(np.append(np.ones(n), m))
        log_cols = np.log(np.append(np.ones(m), n))
    z = z / t
    u, v = np.zeros(n + 1), np.zeros(m + 1)
    for _ in range(n_iters):
        u = log_rows - logsumexp(z + v, 1)[:, 0]
        v = log_cols - logsumexp(z + u[:, None], 0)[0]
    plan = np.exp(z + u[:, None] + v)
    return plan[:n, :m], plan[:n, m], plan[n, :m]


def naive(x, score, t, n_iters):
    """`reference` in TensorFlow, to differentiate."""
    n, m = x.shape
    z = tf.pad(x, [[0, 1], [0, 1]]) + score * np.pad(
        np.zeros((n, m)), [[0, 1]] * 2, constant_values=1
    )
    z = z / t
    log_rows, log_cols = (
        np.log(np.append(np.ones(n), m)),
        np.log(np.append(np.ones(m), n)),
    )
    for _ in range(n_iters):
        z += log_rows[:, None] - tf.reduce_logsumexp(z, 1, keepdims=True)
        z += log_cols - tf.reduce_logsumexp(z, 0, keepdims=True)
    plan = tf.exp(z)
    return plan[:n, :m], plan[:n, m], plan[n, :m]


def partial_sinkhorn(*arguments, **options):
    return st.partial_sinkhorn(*arguments, jit_compile=False, **options)


@pytest.mark.parametrize("n, m", [(1, 1), (1, 4), (5, 3), (6, 6)])
@pytest.mark.parametrize("n_iters", [1, 7])
def test_equals_the_formula_of_superglue(rng, n, m, n_iters):
    x, score, t = (
        rng.normal(size=(4, n, m)),
        rng.normal(size=4),
        np.float64([1, 1, 0.1, 3]),
    )
    for dtype, atol in ((np.float64, 1e-12), (np.float32, 1e-5)):
        parts = partial_sinkhorn(
            x.astype(dtype), score.astype(dtype), t.astype(dtype), n_iters
        )
        for part, *expected in zip(
            parts,
            *(reference(*each, n_iters) for each in zip(x, score, t, strict=True)),
            strict=True,
        ):
            assert part.dtype == dtype
            np.testing.assert_allclose(part, np.stack(expected), atol=atol)
    columns = parts.plan.numpy().sum(1) + parts.unmatched_cols
    np.testing.assert_allclose(columns, np.ones((4, m)), atol=1e-6)


def test_every_item_is_placed_or_unmatched_in_the_limit(rng):
    x = rng.normal(size=(4, 5, 7))
    parts = partial_sinkhorn(x, 0.3, 0.2, 1000, tolerance=1e-9)
    rows = parts.plan.numpy().sum(2) + parts.unmatched_rows
    np.testing.assert_allclose(rows, np.ones((4, 5)), atol=1e-8)
    transposed = partial_sinkhorn(np.swapaxes(x, 1, 2), 0.3, 0.2, 1000, tolerance=1e-9)
    np.testing.assert_allclose(
        np.swapaxes(transposed.plan, 1, 2), parts.plan, atol=1e-7
    )
    np.testing.assert_allclose(
        transposed.unmatched_cols, parts.unmatched_rows, atol=1e-7
    )


@pytest.mark.parametrize("n_iters", [1, 9])
def test_masks_mean_the_submatrix(rng, n_iters):
    x, t = rng.normal(size=(8, 5, 6)), rng.uniform(0.2, 2, 8)
    score = rng.normal(size=8)
    rows, cols = random_masks(rng, 8, 5, 6)
    missing = ~(rows[:, :, None] & cols[:, None, :])
    spoiled = tf.constant(np.where(missing, rng.choice([np.nan, np.inf], x.shape), x))
    with tf.GradientTape() as tape:
        tape.watch(spoiled)
        parts = partial_sinkhorn(
            spoiled, score, t, n_iters, row_mask=rows, col_mask=cols
        )
        loss = sum(tf.reduce_sum(part**2) for part in parts)
    gradient = tape.gradient(loss, spoiled).numpy()
    assert np.isfinite(gradient).all() and not gradient[missing].any()
    for b in range(8):
        sub = x[b][np.ix_(rows[b], cols[b])]
        expected = reference(sub, score[b], t[b], n_iters)
        np.testing.assert_allclose(
            parts.plan[b].numpy()[np.ix_(rows[b], cols[b])], expected[0], atol=1e-12
        )
        np.testing.assert_allclose(
            parts.unmatched_rows[b][rows[b]], expected[1], atol=1e-12
        )
        np.testing.assert_allclose(
            parts.unmatched_cols[b][cols[b]], expected[2], atol=1e-12
        )
        assert not parts.plan[b].numpy()[missing[b]].any()
        assert not parts.unmatched_rows[b].numpy()[~rows[b]].any()
        assert not parts.unmatched_cols[b].numpy()[~cols[b]].any()


@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_gradients(rng, gradient):
    x, score, t = (tf.constant(each) for each in (rng.normal(size=(4, 5)), 0.3, 0.7))
    score, t = tf.cast(score, tf.float64), tf.cast(t, tf.float64)
    weights = [rng.normal(size=(4, 5)), rng.normal(size=4), rng.normal(size=5)]
    n_iters = 6 if gradient == "unrolled" else 300

    def loss(function, *arguments):
        parts = function(*arguments, n_iters)
        return sum(
            tf.reduce_sum(w * part) for w, part in zip(weights, parts, strict=True)
        )

    def gradients(function):
        with tf.GradientTape() as tape:
            tape.watch([x, score, t])
            value = loss(function, x, score, t)
        return tape.gradient(value, [x, score, t])

    actual = gradients(lambda *a: partial_sinkhorn(*a, gradient=gradient))
    for part, expected in zip(actual, gradients(naive), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-7, atol=1e-9)
    step = 1e-6
    slope = loss(partial_sinkhorn, x, score + step, t)
    slope = (slope - loss(partial_sinkhorn, x, score - step, t)) / (2 * step)
    np.testing.assert_allclose(actual[1], slope, rtol=1e-5, atol=1e-9)


def test_second_derivatives_of_the_score(rng):
    x = tf.constant(rng.normal(size=(3, 4)))

    @tf.function
    def slopes(score):
        with tf.GradientTape() as outer:
            outer.watch(score)
            with tf.GradientTape() as inner:
                inner.watch(score)
                loss = tf.reduce_sum(st.partial_sinkhorn(x, score, 0.8, 2).plan ** 2)
            slope = inner.gradient(loss, score)
        return slope, outer.gradient(slope, score)

    score = tf.constant(0.2, tf.float64)
    expected = (slopes(score + 1e-5)[0] - slopes(score - 1e-5)[0]) / 2e-5
    np.testing.assert_allclose(slopes(score)[1], expected, rtol=1e-6)


def test_forbidden_pairs_and_invalid_examples(rng):
    x = rng.normal(size=(5, 3, 4))
    x[0] = -np.inf
    clean = partial_sinkhorn(x, np.full(5, 0.5))
    assert not clean.plan[0].numpy().any()
    np.testing.assert_allclose(clean.unmatched_cols[0], np.ones(4), atol=1e-12)
    bad = x.copy()
    bad[1, 2, 2], bad[2, 0, 0] = np.nan, np.inf
    tensors = [tf.constant(bad), tf.fill([5], tf.constant(0.5, tf.float64))]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        parts = partial_sinkhorn(*tensors)
        loss = tf.reduce_sum(parts.plan[:, 0])
    for part, expected in zip(parts, clean, strict=True):
        assert np.isnan(part.numpy()[1:3]).all()
        np.testing.assert_allclose(part[3:], expected[3:], rtol=1e-14)
    for part, expected in zip(partial_sinkhorn(*tensors), clean, strict=True):
        np.testing.assert_array_equal(part[3:], expected[3:])
    for each in tape.gradient(loss, tensors):
        assert np.isfinite(each).all() and not each.numpy()[1:3].any()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_unknown_sizes_and_scores_in_a_trace(rng, jit_compile):
    traced = tf.function(
        lambda x, score: st.partial_sinkhorn(x, score, 0.5, 4),
        [tf.TensorSpec([None] * 3, tf.float64), tf.TensorSpec([None], tf.float64)],
        jit_compile=jit_compile,
    )
    x, score = rng.normal(size=(4, 3, 5)), np.array([0.1, np.nan, np.inf, -np.inf])
    parts = traced(x, score)
    for part in parts:
        assert np.isnan(part.numpy()[1:]).all()
    for part, expected in zip(parts, reference(x[0], 0.1, 0.5, 4), strict=True):
        np.testing.assert_allclose(part[0], expected, atol=1e-12)


def test_batches_dtypes_and_no_iterations(rng):
    x, score = rng.normal(size=(3, 1, 2, 4)), rng.normal(size=5)
    mask = rng.random((6, 1, 1, 4)) < 0.6
    parts = partial_sinkhorn(x, score, [[0.5], [1.0], [2.0]], 2, col_mask=mask)
    shapes = [part.shape.as_list() for part in parts]
    assert shapes == [[6, 3, 5, 2, 4], [6, 3, 5, 2], [6, 3, 5, 4]]
    narrow = partial_sinkhorn(x.astype(np.float16), 0.3, 1.0, 3)
    assert {part.dtype for part in narrow} == {tf.float16}
    wide = partial_sinkhorn(x.astype(np.float16).astype(np.float32), 0.3, 1.0, 3)
    np.testing.assert_array_equal(narrow.plan, tf.cast(wide.plan, tf.float16))
    plan, rows, cols = partial_sinkhorn(x, 0.3, 2.0, 0)
    np.testing.assert_allclose(plan, np.exp(x / 2), rtol=1e-12)
    np.testing.assert_allclose(rows, np.full((3, 1, 2), np.exp(0.15)), rtol=1e-12)
    np.testing.assert_allclose(cols, np.full((3, 1, 4), np.exp(0.15)), rtol=1e-12)
