import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf._sinkhorn.solve import solve_near
from sinkhorn_tf.sorting import optimal_transport


@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (3, 20), (2, 2, 5)])
def test_low_temperatures_sort_and_rank(rng, shape):
    # Apart by a margin: at any temperature closer values blur.
    values = rng.permuted(np.broadcast_to(np.arange(shape[-1]) ** 1.5, shape), axis=-1)
    values = (values * 3 - 50).astype(np.float32)
    np.testing.assert_allclose(
        st.soft_sort(values, 1e-3), np.sort(values), rtol=1e-3, atol=1e-2
    )
    ranks = np.argsort(np.argsort(values))
    np.testing.assert_allclose(st.soft_rank(values, 1e-3), ranks, atol=1e-2)


def test_top_k(rng):
    values = rng.permutation(8).astype(np.float64)
    np.testing.assert_allclose(
        st.soft_sort(values, 1e-3, top_k=3), [5, 6, 7], atol=1e-3
    )
    np.testing.assert_allclose(
        st.soft_rank(values, 1e-3, top_k=3), np.maximum(values - 5, 0), atol=1e-3
    )


def test_scale_and_offset_change_no_rank(rng):
    values = rng.normal(size=(4, 9))
    ranks = st.soft_rank(values, 0.1)
    np.testing.assert_allclose(st.soft_rank(1e3 * values + 7, 0.1), ranks, rtol=1e-6)
    np.testing.assert_allclose(
        st.soft_sort(1e3 * values + 7, 0.1),
        1e3 * st.soft_sort(values, 0.1) + 7,
        rtol=1e-6,
    )


def test_permuting_the_values_permutes_the_ranks(rng):
    values = rng.normal(size=(3, 9))
    order = rng.permutation(9)
    np.testing.assert_allclose(
        st.soft_rank(values[:, order], 0.1), st.soft_rank(values, 0.1).numpy()[:, order]
    )


def test_equal_values_share_the_mean_of_their_ranks():
    ranks = st.soft_rank(np.float64([2, 1, 2, 5]), 1e-3)
    np.testing.assert_allclose(ranks, [1.5, 0, 1.5, 3], atol=1e-3)
    constant = st.soft_rank(np.ones(4, np.float32))
    np.testing.assert_allclose(constant, np.full(4, 1.5), atol=1e-5)


def test_gradients_are_finite_and_those_of_differences(rng):
    values = rng.normal(size=6)
    weights = rng.normal(size=6)
    for function in (st.soft_sort, st.soft_rank):
        loss = lambda v, f=function: tf.reduce_sum(weights * f(v, 0.3))
        x = tf.constant(values)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = loss(x)
        gradient = tape.gradient(y, x)
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
        for i in range(6):
            moved = np.zeros(6)
            moved[i] = 1e-6
            slope = (loss(values + moved) - loss(values - moved)) / 2e-6
            np.testing.assert_allclose(gradient[i], slope, rtol=1e-4, atol=1e-6)


def test_a_span_beyond_the_range_of_the_format():
    values = np.float32([-3e38, 3e38, 0])
    np.testing.assert_allclose(st.soft_sort(values, 1e-3), np.sort(values), rtol=1e-3)


def test_dtype_and_graphs(rng):
    values = tf.cast(rng.normal(size=(2, 5)), tf.float16)
    assert st.soft_sort(values).dtype == tf.float16
    graph = tf.function(lambda v: st.soft_rank(v, 0.1), jit_compile=True)
    np.testing.assert_allclose(graph(values), st.soft_rank(values, 0.1), atol=1e-2)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ((np.arange(3),), TypeError),
        ((np.float32(1),), ValueError),
        (([1.0, 2.0], -1.0), ValueError),
    ],
)
def test_errors_name_the_value_received(arguments, error):
    for function in (st.soft_sort, st.soft_rank):
        with pytest.raises(error, match="Received"):
            function(*arguments)


@pytest.mark.parametrize("top_k", [0, 4, 1.5])
def test_top_k_out_of_range(top_k):
    with pytest.raises((TypeError, ValueError), match="top_k"):
        st.soft_sort([1.0, 2.0, 3.0], top_k=top_k)


def test_the_first_duals_save_steps_and_change_no_plan(rng):
    n = 30
    x = tf.constant(rng.uniform(size=(4, n)))
    anchors = tf.constant(np.linspace(0, 1, n))
    logits = 2 * n * x[:, :, None] * anchors
    potential = -optimal_transport._duals_of_sorted(2 * n * x, anchors)
    near = tf.function(solve_near)
    for t in (1.0, 0.1, 0.01, 1e-3):
        ours = near(logits, potential, tf.constant(t, tf.float64))
        whole = st.sinkhorn_solve(logits, t)
        assert ours.converged.numpy().all()
        np.testing.assert_allclose(ours.plan, whole.plan, atol=2e-5)
        if t < 1:
            assert (ours.n_iters.numpy() <= whole.n_iters.numpy() / 2).all()


def test_any_first_duals_lead_to_the_limit(rng):
    logits = tf.constant(rng.normal(size=(3, 12, 12)))
    wrong = tf.constant(rng.normal(size=(3, 12)) * 100)
    t = tf.constant(0.1, tf.float64)
    ours = tf.function(solve_near)(logits, wrong, t)
    np.testing.assert_allclose(
        ours.plan, st.sinkhorn_solve(logits, 0.1).plan, atol=2e-5
    )


@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING"])
@pytest.mark.parametrize("temperature", [1e-3, 0.3])
def test_masks_mean_the_others(rng, direction, temperature):
    values = rng.normal(size=(3, 5))
    mask = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    given = tf.constant(np.where(mask, values, np.nan))
    options = {"temperature": temperature, "direction": direction}
    with tf.GradientTape() as tape:
        tape.watch(given)
        ordered = st.soft_sort(given, mask=mask, **options)
        ranks = st.soft_rank(given, mask=mask, **options)
        plan = st.sorting.soft_argsort(given, mask=mask, **options)
        loss = tf.reduce_sum((ordered + ranks) * rng.normal(size=5))
    for k in range(3):
        count = mask[k].sum()
        known_order, known_ranks = np.zeros(5), np.zeros(5)
        known_plan = np.zeros((5, 5))
        if count:
            alone = values[k][mask[k]]
            known_order[:count] = st.soft_sort(alone, **options)
            known_ranks[mask[k]] = st.soft_rank(alone, **options)
            known_plan[np.ix_(mask[k], np.arange(5) < count)] = st.sorting.soft_argsort(
                alone, **options
            )
        np.testing.assert_allclose(ordered[k], known_order, atol=1e-5)
        np.testing.assert_allclose(ranks[k], known_ranks, atol=1e-5)
        np.testing.assert_allclose(plan[k], known_plan, atol=1e-5)
    gradient = tape.gradient(loss, given).numpy()
    assert np.isfinite(gradient).all() and (gradient[~mask] == 0).all()


def test_directions_and_axes(rng):
    values = rng.permuted(np.arange(24.0).reshape(4, 3, 2) ** 1.2, axis=1)
    ordered = st.soft_sort(values, 1e-4, axis=1, direction="DESCENDING")
    np.testing.assert_allclose(ordered, -np.sort(-values, axis=1), atol=1e-2)
    ranks = st.soft_rank(values, 1e-4, axis=1, direction="DESCENDING")
    known = np.argsort(np.argsort(-values, axis=1), axis=1)
    np.testing.assert_allclose(ranks, known, atol=1e-2)
    first = st.soft_rank(values[0, :, 0], 1e-4, direction="DESCENDING", top_k=2)
    np.testing.assert_allclose(first, np.minimum(known[0, :, 0], 1), atol=1e-2)
    plan = st.sorting.soft_argsort(values, 1e-4, axis=1)
    assert plan.shape == (4, 2, 3, 3)
    np.testing.assert_allclose(
        tf.linalg.matvec(plan, np.moveaxis(values, 1, -1), transpose_a=True),
        np.moveaxis(np.sort(values, axis=1), 1, -1),
        atol=1e-2,
    )


def test_a_mask_may_have_more_batch_dimensions(rng):
    values = rng.normal(size=5)
    mask = rng.random((3, 5)) < 0.7
    for axis in (0, -1):
        ordered = st.soft_sort(values, 1e-3, axis=axis, mask=mask)
        assert ordered.shape == (3, 5)
        for k in range(3):
            alone = st.soft_sort(values, 1e-3, mask=mask[k])
            np.testing.assert_allclose(ordered[k], alone, atol=1e-5)


def test_a_mask_of_one_dimension_is_along_the_axis(rng):
    values = rng.normal(size=(4, 3))
    mask = np.array([True, False, True, True])
    ranks = st.soft_rank(values, 1e-3, axis=0, mask=mask)
    for k in range(3):
        alone = st.soft_rank(values[:, k], 1e-3, mask=mask)
        np.testing.assert_allclose(ranks[:, k], alone, atol=1e-5)


def test_top_k_of_ranks_counts_those_that_exist():
    values = np.float64([4, 9, 1, 3])
    mask = [True, False, True, True]
    ranks = st.soft_rank(values, 1e-3, top_k=2, mask=mask)
    np.testing.assert_allclose(ranks, [1, 0, 0, 0], atol=1e-3)


def test_ten_thousand_numbers(rng):
    values = rng.normal(size=10_000)
    shares = st.soft_top_k(values, 100, 1e-4)
    known = np.zeros(10_000)
    known[np.argsort(values)[-100:]] = 1
    assert abs(shares - known).numpy().max() < 0.51
    plan = st.sorting.soft_sort_l1(values[:2000].astype(np.float32), 1e-5)
    ordered = tf.linalg.matvec(plan, values[:2000].astype(np.float32), transpose_a=True)
    np.testing.assert_allclose(ordered, np.sort(values[:2000]), atol=1e-3)
