import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st


def test_top_k_values(rng):
    values = rng.permutation(8).astype(np.float64)
    top = st.sorting.soft_top_k_values(values, 3, 1e-3)
    np.testing.assert_allclose(top, [5, 6, 7], atol=1e-3)
    top = st.sorting.soft_top_k_values(values, 3, 1e-3, direction="DESCENDING")
    np.testing.assert_allclose(top, [7, 6, 5], atol=1e-3)


def test_top_k_values_of_those_that_exist():
    values = np.float64([[4, 9, 1, 3], [2, 9, 9, 9]])
    mask = np.array([[1, 0, 1, 1], [1, 0, 0, 0]], bool)
    top = st.sorting.soft_top_k_values(values, 2, 1e-3, mask=mask)
    np.testing.assert_allclose(top, [[3, 4], [2, 0]], atol=1e-3)
    top = st.sorting.soft_top_k_values(
        values, 2, 1e-3, mask=mask, direction="DESCENDING"
    )
    np.testing.assert_allclose(top, [[4, 3], [2, 0]], atol=1e-3)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_quantiles_are_those_of_numpy_at_low_temperatures(rng, axis):
    values = rng.permuted(np.arange(30.0).reshape(6, 5), axis=axis)
    q = [0.0, 0.1, 0.37, 0.5, 1.0]
    ours = st.sorting.soft_quantile(values, q, 1e-4, axis=axis)
    known = np.moveaxis(np.quantile(values, q, axis=axis), 0, axis)
    np.testing.assert_allclose(ours, known, atol=1e-3)
    one = st.sorting.soft_quantile(values, 0.37, 1e-4, axis=axis)
    np.testing.assert_allclose(one, np.quantile(values, 0.37, axis=axis), atol=1e-3)
    median = st.sorting.soft_median(values, 1e-4, axis=axis)
    np.testing.assert_allclose(median, np.median(values, axis=axis), atol=1e-3)


def test_quantiles_of_those_that_exist(rng):
    values = rng.normal(size=(4, 7))
    mask = rng.random((4, 7)) < 0.6
    mask[0] = False
    mask[1] = True
    given = np.where(mask, values, np.nan)
    variable = tf.constant(given)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        ours = st.sorting.soft_quantile(variable, [0.25, 0.9], 1e-5, mask=mask)
    assert (ours[0].numpy() == 0).all()
    for k in range(1, 4):
        known = np.quantile(values[k][mask[k]], [0.25, 0.9])
        np.testing.assert_allclose(ours[k], known, atol=1e-2)
    gradient = tape.gradient(ours, variable).numpy()
    assert np.isfinite(gradient).all() and (gradient[~mask] == 0).all()


def test_the_median_has_a_gradient_and_a_dtype():
    values = tf.constant([3.0, 1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        median = st.sorting.soft_median(values, 1e-3)
    assert median.dtype == tf.float32
    np.testing.assert_allclose(tape.gradient(median, values), [0, 0, 1], atol=1e-3)


@pytest.mark.parametrize("q, error", [(1.5, ValueError), ([[0.5]], ValueError)])
def test_errors_name_the_value_received(q, error):
    with pytest.raises(error, match="Received: q"):
        st.sorting.soft_quantile([1.0, 2.0], q)
