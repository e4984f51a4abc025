"""`sinkhorn` of rectangles, and of what masks leave of them."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import (
    assert_relatively_close,
    extended_reference,
    gradients,
    masked_naive,
    masked_reference,
    operator,
    random_masks,
    rectangular_naive,
    rectangular_reference,
)

RECTANGLES = [(1, 6), (6, 1), (3, 5), (5, 3), (30, 50), (50, 30), (4, 90), (90, 4)]
T = np.array([1, 0.3, 0.1])


def poison(x, row_mask, col_mask):
    """The logits with NaN and inf where a mask leaves a pair out."""
    missing = ~(row_mask[:, :, None] & col_mask[:, None, :])
    poisons = np.array([np.nan, np.inf, -np.inf], x.dtype)
    poisoned = x.copy()
    poisoned[missing] = poisons[np.arange(missing.sum()) % 3]
    return poisoned


@pytest.fixture
def masked(rng):
    """Logits whose missing pairs are poisoned, the clean ones, and keyword masks."""
    x = rng.normal(size=(9, 6, 7))
    row_mask, col_mask = random_masks(rng, 9, 6, 7)
    sizes = row_mask.sum(1) - col_mask.sum(1)
    assert (sizes > 0).any() and (sizes < 0).any() and (sizes == 0).any()
    masks = {"row_mask": row_mask, "col_mask": col_mask}
    return poison(x, row_mask, col_mask), x, masks


@pytest.mark.parametrize("n_iters", [0, 1, 20, 100])
@pytest.mark.parametrize("n, m", RECTANGLES)
def test_rectangles_equal_reference(rng, n, m, n_iters):
    x = (0.1 if n_iters == 0 else 1) * rng.normal(size=(3, n, m))
    plan = operator(n_iters)(x, T)
    expected = [rectangular_reference(x[b], T[b], n_iters) for b in range(3)]
    np.testing.assert_allclose(plan, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("n, m, mode", [(50, 30, "eager"), (3, 5, "graph")])
def test_rectangles_in_every_mode(rng, n, m, mode):
    x = rng.normal(size=(3, n, m)).astype(np.float32)
    plan = operator(20, mode)(x, T.astype(np.float32))
    expected = [
        rectangular_reference(x[b].astype(np.float64), T[b], 20) for b in range(3)
    ]
    np.testing.assert_allclose(plan, expected, atol=1e-5)
    sums = tf.reduce_sum(plan, -2).numpy()
    assert (sums < 1 + 1e-5).all() and (n < m or (sums > 1 - 1e-5).all())


@pytest.mark.parametrize("n_iters", [0, 1, 25])
def test_masks_equal_the_submatrix(masked, n_iters):
    poisoned, x, masks = masked
    t = np.linspace(0.2, 1, 9)
    plan = operator(n_iters, **masks)(poisoned, t)
    expected = masked_reference(x, t, n_iters, **masks)
    np.testing.assert_allclose(plan, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("side", ["row_mask", "col_mask"])
@pytest.mark.parametrize("n, m", [(4, 4), (4, 6), (6, 4)])
def test_one_mask_alone(rng, n, m, side):
    x = rng.normal(size=(9, n, m))
    row_mask, col_mask = random_masks(rng, 9, n, m)
    masks = {"row_mask": row_mask, "col_mask": col_mask}
    every = {key: np.ones_like(mask) for key, mask in masks.items()}
    t = np.full(9, 0.4)
    plan = operator(7, **{side: masks[side]})(x, t)
    expected = masked_reference(x, t, 7, **{**every, side: masks[side]})
    np.testing.assert_allclose(plan, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n, m", [(3, 5), (5, 3), (30, 3)])
def test_gradients_of_rectangles_equal_naive_autodiff(rng, n, m):
    x, weights = rng.normal(size=(3, n, m)), rng.normal(size=(3, n, m))
    for n_iters in (1, 4, 40):
        naive = lambda x, t, n_iters=n_iters: tf.stack(
            [rectangular_naive(x[b], t[b], n_iters) for b in range(3)]
        )
        actual = gradients(operator(n_iters), x, T, weights)
        for a, e in zip(actual, gradients(naive, x, T, weights), strict=True):
            assert_relatively_close(a, e, 1e-8)


@pytest.mark.parametrize("gradient, n_iters", [("unrolled", 12), ("implicit", 600)])
def test_gradients_with_masks_equal_naive_autodiff(rng, masked, gradient, n_iters):
    poisoned, x, masks = masked
    t, weights = np.linspace(1, 2, 9), rng.normal(size=x.shape)
    function = operator(n_iters, gradient=gradient, **masks)
    naive = functools.partial(masked_naive, n_iters=min(n_iters, 60), **masks)
    actual = gradients(function, poisoned, t, weights)
    expected = gradients(naive, x, t, weights)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a, e, 1e-7)
    missing = ~(masks["row_mask"][:, :, None] & masks["col_mask"][:, None, :])
    assert (actual[0][missing] == 0).all()


def test_second_derivatives_equal_naive_autodiff(rng, masked):
    poisoned, x, masks = masked
    poisoned, x = poisoned[4:7], x[4:7]
    masks = {key: mask[4:7] for key, mask in masks.items()}
    weights = tf.constant(rng.normal(size=x.shape))
    direction = tf.constant(rng.normal(size=x.shape))

    def second(function, x):
        x, t = tf.constant(x), tf.constant(T)
        with tf.GradientTape() as outer:
            outer.watch([x, t])
            with tf.GradientTape() as inner:
                inner.watch([x, t])
                loss = tf.reduce_sum(weights * function(x, t))
            to_x, to_t = inner.gradient(loss, [x, t])
            product = tf.reduce_sum(direction * to_x) + tf.reduce_sum(to_t)
        return outer.gradient(product, [x, t])

    actual = second(operator(6, **masks), poisoned)
    expected = second(functools.partial(masked_naive, n_iters=6, **masks), x)
    for a, e in zip(actual, expected, strict=True):
        assert_relatively_close(a.numpy(), e.numpy(), 1e-8)


@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_second_derivatives_with_forbidden_pairs(rng, gradient):
    x, t = rng.normal(size=(1, 3, 5)), tf.constant([0.5], tf.float64)
    weights = tf.constant(rng.normal(size=x.shape))

    def second(value):
        x[0, 1, 2] = value
        logits = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch([logits, t])
            with tf.GradientTape() as inner:
                inner.watch([logits, t])
                plan = operator(5, gradient=gradient)(logits, t)
                loss = tf.reduce_sum(weights * plan)
            to_x, to_t = inner.gradient(loss, [logits, t])
            product = tf.reduce_sum(weights * to_x) + tf.reduce_sum(to_t)
        return outer.gradient(product, [logits, t])

    for a, e in zip(second(-np.inf), second(-1e3), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n, m", [(3, 6), (6, 3)])
def test_tolerance_counts_the_slack(rng, n, m):
    x = rng.normal(size=(3, n, m))
    tolerance, taken = 1e-3, []
    masses = np.append(np.ones(n), m - n) if n < m else 1
    for b in range(3):
        error = lambda count, b=b: np.abs(
            extended_reference(x[b], T[b], count).sum(1) - masses
        )
        taken.append(next(k for k in range(1, 300) if error(k).max() <= tolerance))
    assert len(set(taken)) > 1
    plan = operator(300, tolerance=tolerance)(x, T)
    for b, count in enumerate(taken):
        expected = rectangular_reference(x[b], T[b], count)
        np.testing.assert_allclose(plan[b], expected, atol=1e-11)


@pytest.mark.parametrize("n_iters", [1, 3, 20])
def test_a_slack_is_as_many_dummies(rng, n_iters):
    x = rng.normal(size=(2, 3, 5))
    dummies = np.concatenate([x, np.zeros((2, 2, 5))], 1)
    expected = operator(n_iters)(dummies, T[:2])[:, :3]
    np.testing.assert_allclose(operator(n_iters)(x, T[:2]), expected, atol=1e-12)


@pytest.mark.parametrize("n_iters", [0, 1, 20])
def test_padding_and_reordering_change_nothing(rng, masked, n_iters):
    poisoned, _, masks = masked
    t = np.linspace(0.2, 1, 9)
    function = operator(n_iters)
    plan = function(poisoned, t, **masks).numpy()
    padded = np.pad(poisoned, [[0, 0], [0, 3], [0, 2]], constant_values=np.nan)
    padding = {"row_mask": [[0, 0], [0, 3]], "col_mask": [[0, 0], [0, 2]]}
    wider = {key: np.pad(mask, padding[key]) for key, mask in masks.items()}
    again = function(padded, t, **wider)
    np.testing.assert_allclose(again[:, :6, :7], plan, atol=1e-13)
    assert not again[:, 6:].numpy().any() and not again[:, :, 7:].numpy().any()
    rows, cols = rng.permutation(6), rng.permutation(7)
    moved = function(
        poisoned[:, rows][:, :, cols],
        t,
        row_mask=masks["row_mask"][:, rows],
        col_mask=masks["col_mask"][:, cols],
    )
    np.testing.assert_allclose(moved, plan[:, rows][:, :, cols], atol=1e-13)


@pytest.mark.parametrize("gradient", ["unrolled", "implicit"])
def test_an_invalid_value_stays_in_its_example(rng, gradient):
    x = rng.normal(size=(4, 5, 7)).astype(np.float32)
    row_mask, col_mask = np.ones((4, 5), bool), np.ones((4, 7), bool)
    row_mask[:, 4] = col_mask[1, 5:] = False
    bad = x.copy()
    bad[1, 2, 3], bad[2, 0, 0] = np.nan, np.inf
    function = operator(20, gradient=gradient, row_mask=row_mask, col_mask=col_mask)
    t, weights = np.full(4, 0.3, np.float32), rng.normal(size=x.shape)
    plan, clean = function(bad, t).numpy(), function(x, t).numpy()
    np.testing.assert_array_equal(plan[[0, 3]], clean[[0, 3]])
    exists = row_mask[:, :, None] & col_mask[:, None, :]
    assert np.isnan(plan[1:3][exists[1:3]]).all()
    assert (plan[~exists] == 0).all()
    to_x, to_t = gradients(function, bad, t, weights)
    clean_to_x, clean_to_t = gradients(function, x, t, weights)
    np.testing.assert_array_equal(to_x[[0, 3]], clean_to_x[[0, 3]])
    np.testing.assert_array_equal(to_t[[0, 3]], clean_to_t[[0, 3]])
    assert not to_x[1:3].any() and not to_t[1:3].any()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_unknown_sizes(rng, jit_compile):
    spec = tf.TensorSpec([None, None, None], tf.float64)
    function = tf.function(
        lambda x: st.sinkhorn(x, 0.3),
        input_signature=[spec],
        jit_compile=jit_compile,
        autograph=jit_compile,
    )
    for n, m in [(3, 5), (5, 3), (4, 4)]:
        x = rng.normal(size=(2, n, m))
        expected = [rectangular_reference(each, 0.3, 20) for each in x]
        np.testing.assert_allclose(function(x), expected, atol=1e-12)


def test_unknown_sizes_with_masks(rng, masked):
    poisoned, x, masks = masked
    specs = [tf.TensorSpec([None, None, None], tf.float64)]
    specs += 2 * [tf.TensorSpec([None, None], tf.bool)]
    function = tf.function(
        lambda x, row_mask, col_mask: st.sinkhorn(
            x, 0.3, row_mask=row_mask, col_mask=col_mask
        ),
        input_signature=specs,
    )
    expected = masked_reference(x, np.full(9, 0.3), 20, **masks)
    np.testing.assert_allclose(
        function(poisoned, *masks.values()), expected, atol=1e-12
    )


def test_batch_dimensions_broadcast(rng):
    x, t = rng.normal(size=(3, 1, 4, 5)), np.array([0.5, 0.2])
    row_mask = rng.random((2, 4)) < 0.7
    col_mask = rng.random((3, 1, 5)) < 0.7
    plan = st.sinkhorn(x, t, row_mask=row_mask, col_mask=col_mask)
    assert plan.shape == (3, 2, 4, 5)
    for a in range(3):
        for b in range(2):
            expected = masked_reference(
                x[a], t[b : b + 1], 20, row_mask[b : b + 1], col_mask[a]
            )
            np.testing.assert_allclose(plan[a, b], expected[0], atol=1e-12)
    larger = st.sinkhorn(x[0, 0], 0.5, row_mask=row_mask)
    assert larger.shape == (2, 4, 5)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
def test_low_precision_equals_float32_rounded_once(rng, dtype):
    x = tf.cast(rng.normal(size=(2, 4, 7)), dtype)
    mask = [True, False, True, True]
    plan = st.sinkhorn(x, 0.5, row_mask=mask)
    assert plan.dtype == dtype
    expected = st.sinkhorn(tf.cast(x, tf.float32), 0.5, row_mask=mask)
    np.testing.assert_array_equal(plan, tf.cast(expected, dtype))


@pytest.mark.parametrize("offset", [-1e4, 1e4])
@pytest.mark.parametrize("n, m", [(4, 7), (7, 4), (6, 6)])
def test_extremes_give_finite_plans_and_gradients(rng, n, m, offset):
    x = (30 * rng.normal(size=(3, n, m)) + offset).astype(np.float32)
    x[1][rng.random((n, m)) < 0.5] = -np.inf
    x[2, 0] = x[2, :, 1] = -np.inf
    mask = np.arange(m) < m - 1
    function = operator(60, col_mask=mask)
    t = T.astype(np.float32)
    assert np.isfinite(function(x, t)).all()
    for each in gradients(function, x, t, rng.normal(size=x.shape)):
        assert np.isfinite(each).all()
