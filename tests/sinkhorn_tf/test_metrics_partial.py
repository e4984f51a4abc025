"""Metrics where some items have no position, and where positions are not as many."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf import metrics

FUNCTIONS = {
    metrics.ProportionWrong: metrics.proportion_wrong,
    metrics.ProportionAnyWrong: metrics.proportion_any_wrong,
    metrics.KendallTau: metrics.kendall_tau,
    metrics.MatchingPrecision: metrics.matching_precision,
}
every_metric = pytest.mark.parametrize("metric", FUNCTIONS, ids=lambda m: m.__name__)
BATCH, N, M = 12, 5, 7


def reference(metric, p, q, weight=None):
    """The value of one example and how many of its items count."""
    matched = metric is metrics.MatchingPrecision
    weight = np.ones(len(p)) if weight is None else weight
    counted = ((q if matched else p) != -1) & (weight > 0)
    p, q = p[counted], q[counted]
    if metric is metrics.ProportionAnyWrong:
        return float((p != q).any()), len(p)
    if metric is metrics.KendallTau:
        if len(p) < 2:
            return 1.0, len(p)
        total = 0
        for i, k in itertools.permutations(range(len(p)), 2):
            if -1 not in (q[i], q[k]):
                total += np.sign(p[i] - p[k]) * np.sign(q[i] - q[k])
        return total / (len(p) * (len(p) - 1)), len(p)
    if not len(p):
        return float(matched), 0
    return float((p == q if matched else p != q).mean()), len(p)


@pytest.fixture
def lists(rng):
    """True and predicted lists: one of them has no item, one is not matched at all."""
    pair = []
    for _ in range(2):
        perm = rng.permuted(np.broadcast_to(np.arange(M), (BATCH, M)), axis=1)[:, :N]
        pair.append(np.where(rng.random((BATCH, N)) < 0.3, -1, perm).astype(np.int32))
    true, pred = pair
    pred[: BATCH // 2] = np.where(
        rng.random((BATCH // 2, N)) < 0.7, true[: BATCH // 2], pred[: BATCH // 2]
    )
    true[0], pred[1], true[2], pred[2] = -1, -1, [0, -1, -1, -1, -1], [0, 1, -1, 2, 3]
    return true, pred


def to_matrices(perm):
    return (perm[..., None] == np.arange(M)).astype(np.float32)


@every_metric
def test_functions_leave_out_items_without_a_true_position(metric, lists):
    expected = [reference(metric, *pair)[0] for pair in zip(*lists, strict=True)]
    measured = FUNCTIONS[metric](*lists)
    assert measured.dtype == tf.float32
    np.testing.assert_allclose(measured, expected, atol=1e-6)
    traced = tf.function(FUNCTIONS[metric], autograph=False)
    for jit_compile in (False, True):
        traced = tf.function(FUNCTIONS[metric], jit_compile=jit_compile)
        np.testing.assert_allclose(traced(*lists), expected, atol=1e-6)


def test_values_of_items_without_a_position():
    pairs = {
        # true, predicted: wrong, any wrong, tau, precision
        ((2, 0, -1), (2, 0, 1)): (0, 0, 1, 2 / 3),
        ((2, 0, -1), (2, -1, -1)): (0.5, 1, 0, 1),
        ((2, 0, -1), (-1, -1, -1)): (1, 1, 0, 1),
        ((-1, -1, -1), (2, 0, 1)): (0, 0, 1, 0),
        ((-1, -1, -1), (-1, -1, -1)): (0, 0, 1, 1),
        ((2, -1, -1), (0, 1, 2)): (1, 1, 1, 0),
        ((0, 1, 2), (0, -1, 2)): (1 / 3, 1, 1 / 3, 1),
    }
    for pair, expected in pairs.items():
        measured = [float(measure(*pair)) for measure in FUNCTIONS.values()]
        assert measured == pytest.approx(expected), pair


@every_metric
def test_the_state_is_the_mean_over_the_examples_that_count(metric, lists):
    values, counts = np.transpose(
        [reference(metric, *pair) for pair in zip(*lists, strict=True)]
    )
    measured = metric()
    measured.update_state(*(x[:4] for x in lists))
    measured.update_state(*(x[4:] for x in lists))
    expected = values[counts > 0].mean()
    np.testing.assert_allclose(measured.result(), expected, rtol=1e-6)
    weight = np.linspace(0, 1, BATCH)
    measured.reset_state()
    measured.update_state(*lists, sample_weight=weight)
    expected = np.average(values, weights=weight * (counts > 0))
    np.testing.assert_allclose(measured.result(), expected, rtol=1e-5)


@every_metric
def test_weights_of_items_and_items_that_do_not_count(rng, metric, lists):
    weight = rng.random((BATCH, N)) * (rng.random((BATCH, N)) < 0.7)
    weight[3] = 0
    measured = metric()
    measured.update_state(*lists, sample_weight=weight)
    true, pred = lists
    if metric in (metrics.ProportionAnyWrong, metrics.KendallTau):
        each = [
            reference(metric, *example)
            for example in zip(true, pred, weight, strict=True)
        ]
        expected = np.mean([value for value, count in each if count])
    elif metric is metrics.ProportionWrong:
        expected = np.average(true != pred, weights=weight * (true != -1))
    else:
        expected = np.average(true == pred, weights=weight * (pred != -1))
    np.testing.assert_allclose(measured.result(), expected, rtol=1e-5)


@every_metric
def test_rectangular_matrices_mean_their_lists(metric, lists):
    # Every item has a position, since a plan without masks matches all of them.
    true = np.where(lists[0] == -1, -1, lists[0])
    pred = np.array([np.roll(np.arange(M), i)[:N] for i in range(BATCH)], np.int32)
    expected = FUNCTIONS[metric](true, pred)
    integers = to_matrices(true).astype(np.int32)
    soft = to_matrices(pred) + 0.1
    pairs = [
        (true, to_matrices(pred).astype(np.int32)),
        (true, soft),
        (integers, pred),
        (integers, soft),
        (integers, to_matrices(pred).astype(np.int32)),
    ]
    for pair in pairs:
        np.testing.assert_allclose(FUNCTIONS[metric](*pair), expected, atol=1e-6)
    tall = np.array([[[0.0], [2.0], [1.0]]])
    value = FUNCTIONS[metric]([[-1, 0, -1]], tall)
    assert value == (
        1 if metric in (metrics.KendallTau, metrics.MatchingPrecision) else 0
    )


@every_metric
def test_matrices_of_different_sizes_are_one_sentence(metric):
    with pytest.raises(ValueError, match="Received: y_true.shape=.*y_pred.shape="):
        FUNCTIONS[metric](np.zeros((2, 3, 4)), np.zeros((2, 3, 5)))


@every_metric
def test_what_is_unreadable_is_nan_in_the_mean(metric):
    matrices = tf.constant(np.broadcast_to(np.eye(4, dtype=np.int32), (4, 4, 4)))
    measured = metric()

    @tf.function
    def update(y_true, y_pred):
        measured.update_state(y_true, y_pred)

    update(matrices, matrices)
    assert np.isnan(measured.result())


def test_the_precision_in_fit(rng):
    true = np.array([[0, -1, 2], [1, 0, -1]], np.int32)
    inputs = keras.Input((3, 3))
    model = keras.Model(inputs, keras.layers.EinsumDense("bij,jk->bik", (3, 3))(inputs))
    model.compile(
        keras.optimizers.SGD(0.0),
        lambda y_true, y_pred: keras.ops.mean(y_pred**2),
        metrics=[metric() for metric in FUNCTIONS],
    )
    logits = rng.normal(size=(2, 3, 3)).astype(np.float32)
    history = model.fit(logits, true, verbose=0).history
    answer = st.matching(model(logits), jit_compile=False).numpy()
    for metric in FUNCTIONS:
        each = [reference(metric, *pair)[0] for pair in zip(true, answer, strict=True)]
        np.testing.assert_allclose(history[metric().name], [np.mean(each)], rtol=1e-5)


@every_metric
def test_zeros_throughout_a_matrix_are_what_does_not_exist(metric, lists):
    true, pred = lists
    expected = FUNCTIONS[metric](true, pred)
    matrices = [
        st.permutations.to_matrix(perm, n_positions=M).numpy() for perm in lists
    ]
    # Positions that nobody takes would otherwise be given to items without one.
    for pair in [matrices, (true, matrices[1]), (matrices[0], pred)]:
        np.testing.assert_allclose(FUNCTIONS[metric](*pair), expected, atol=1e-6)


def test_zeros_throughout_a_matrix_that_only_a_graph_knows(lists):
    expected = metrics.matching_precision(*lists)
    matrices = [st.permutations.to_matrix(perm, n_positions=M) for perm in lists]
    traced = tf.function(metrics.matching_precision, autograph=False)
    np.testing.assert_allclose(traced(*matrices), expected, atol=1e-6)


def test_the_plan_of_a_layer_with_masks_means_its_list(rng):
    logits = rng.normal(size=(3, 5, 4)).astype(np.float32)
    row_mask = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    col_mask = np.array([[1, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]], bool)
    masks = {"row_mask": row_mask, "col_mask": col_mask}
    plan = st.SinkhornLayer(temperature=0.02, tolerance=1e-3, n_iters=500)(
        logits, **masks
    )
    perm = st.matching(logits, **masks, jit_compile=False).numpy()
    assert (perm[2] == -1).all() and (perm[~row_mask] == -1).all()
    true = np.where(rng.random(perm.shape) < 0.7, perm, -1)
    for measure in FUNCTIONS.values():
        np.testing.assert_allclose(measure(true, plan), measure(true, perm))
    assert (metrics.matching_precision(perm, plan).numpy() == 1).all()


def test_rows_of_nan_are_no_rows_of_zeros():
    plan = np.eye(3, dtype=np.float32)
    plan[1] = np.nan
    assert float(metrics.proportion_wrong([0, 1, 2], plan)) == 1
    plan[1] = 0
    assert float(metrics.proportion_wrong([0, 1, 2], plan)) == pytest.approx(1 / 3)
    assert float(metrics.matching_precision([0, 1, 2], plan)) == 1
    zeros = np.zeros((3, 3), np.float32)
    assert float(metrics.proportion_wrong([0, 1, 2], zeros)) == 1
    assert float(metrics.matching_precision([0, 1, 2], zeros)) == 1
