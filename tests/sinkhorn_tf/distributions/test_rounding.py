import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

round_to_doubly_stochastic = st.distributions.round_to_doubly_stochastic


def reference(plan, rows, cols):
    """Algorithm 2 of Altschuler, Weed and Rigollet (2017)."""
    x = np.diag(np.minimum(rows / plan.sum(1), 1)) @ plan
    y = x @ np.diag(np.minimum(cols / x.sum(0), 1))
    row_lack, col_lack = rows - y.sum(1), cols - y.sum(0)
    return y + np.outer(row_lack, col_lack) / abs(row_lack).sum()


def test_it_is_algorithm_2(rng):
    plan = rng.random((5, 5)) / 3
    ones = np.ones(5)
    result = round_to_doubly_stochastic(plan)
    np.testing.assert_allclose(result, reference(plan, ones, ones), rtol=1e-12)


@pytest.mark.parametrize("batch", [(), (3,), (2, 1)])
@pytest.mark.parametrize("spread", [0.1, 5])
def test_both_marginals_are_exact(rng, batch, spread):
    plan = st.sinkhorn(spread * rng.normal(size=(*batch, 6, 6)), n_iters=1)
    result = round_to_doubly_stochastic(plan).numpy()
    np.testing.assert_allclose(result.sum(-1), 1, atol=1e-14)
    np.testing.assert_allclose(result.sum(-2), 1, atol=1e-14)
    assert (result >= 0).all()
    error = abs(plan.numpy().sum(-1) - 1).sum(-1)
    moved = abs(result - plan.numpy()).sum((-1, -2))
    assert (moved <= 2 * error + 1e-12).all()


def test_masses(rng):
    rows, cols = rng.random((2, 3)), rng.random((2, 4))
    cols *= rows.sum(1, keepdims=True) / cols.sum(1, keepdims=True)
    plan = rng.random((2, 3, 4))
    result = round_to_doubly_stochastic(plan, row_marginals=rows, col_marginals=cols)
    np.testing.assert_allclose(tf.reduce_sum(result, 2), rows, atol=1e-14)
    np.testing.assert_allclose(tf.reduce_sum(result, 1), cols, atol=1e-14)
    for k in range(2):
        known = reference(plan[k], rows[k], cols[k])
        np.testing.assert_allclose(result[k], known, rtol=1e-10)


def test_masks_mean_the_submatrix(rng):
    plan = rng.random((3, 3)) / 2
    whole = np.full((4, 5), np.nan)
    whole[np.ix_([0, 2, 3], [1, 2, 4])] = plan
    row_mask = np.array([1, 0, 1, 1], bool)
    col_mask = np.array([0, 1, 1, 0, 1], bool)
    result = round_to_doubly_stochastic(whole, row_mask=row_mask, col_mask=col_mask)
    known = np.zeros((4, 5))
    known[np.ix_([0, 2, 3], [1, 2, 4])] = round_to_doubly_stochastic(plan)
    np.testing.assert_allclose(result, known, atol=1e-14)


def test_what_is_exact_stays(rng):
    plan = np.full((4, 4), 0.25)
    np.testing.assert_array_equal(round_to_doubly_stochastic(plan), plan)
    permutation = np.eye(4)[[2, 0, 3, 1]]
    np.testing.assert_array_equal(round_to_doubly_stochastic(permutation), permutation)


def test_it_has_its_gradient(rng):
    plan = tf.constant(rng.random((4, 4)))
    weights, direction = rng.normal(size=(2, 4, 4))
    value = lambda x: tf.reduce_sum(round_to_doubly_stochastic(x) * weights)
    with tf.GradientTape() as tape:
        tape.watch(plan)
        result = value(plan)
    slope = tf.reduce_sum(tape.gradient(result, plan) * direction)
    h = 1e-6
    central = (value(plan + h * direction) - value(plan - h * direction)) / (2 * h)
    np.testing.assert_allclose(slope, central, rtol=1e-6)


def test_bad_examples_of_a_graph_are_nan_and_alone(rng):
    plan = rng.random((3, 4, 4))
    bad = plan.copy()
    bad[1, 0, 0] = -0.1
    function = tf.function(round_to_doubly_stochastic)
    of_good, of_bad = function(tf.constant(plan)), function(tf.constant(bad))
    assert np.isnan(of_bad[1]).all()
    np.testing.assert_array_equal(of_good.numpy()[::2], of_bad.numpy()[::2])


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_is_kept(name):
    assert round_to_doubly_stochastic(tf.cast(np.eye(3), name)).dtype == name


@pytest.mark.parametrize(
    "plan, error",
    [
        (np.full((2, 2), -1.0), ValueError),
        (np.full((2, 2), np.nan), ValueError),
        (np.ones((2, 3)), ValueError),
        (np.ones((2, 2), int), TypeError),
        (np.ones(3), ValueError),
    ],
)
def test_errors_name_the_value_received(plan, error):
    with pytest.raises(error, match="plan.*Received: "):
        round_to_doubly_stochastic(plan)


def test_masses_that_differ_are_named():
    for plan, options in (
        (np.ones((4, 4, 6)), {}),
        (np.ones((2, 2)), {"row_marginals": [1.0, 3.0]}),
    ):
        with pytest.raises(ValueError, match="same total mass.*with masses 4 and"):
            round_to_doubly_stochastic(plan, **options)
