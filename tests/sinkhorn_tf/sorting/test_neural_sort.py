import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st

KINDS = [st.sorting.neural_sort, st.sorting.soft_sort_l1]


def neural_sort_of_the_paper(s, tau):
    """Eq. 5 of Grover et al. (2019): rows are positions, the largest first."""
    n = len(s)
    A = abs(s[:, None] - s[None]).sum(1)
    rows = [((n + 1 - 2 * i) * s - A) / tau for i in range(1, n + 1)]
    weights = np.exp(rows - np.max(rows, 1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def soft_sort_of_the_paper(s, tau):
    """Eq. 4 of Prillo and Eisenschlos (2020): rows are positions, the largest first."""
    logits = -abs(np.sort(s)[::-1, None] - s[None]) / tau
    weights = np.exp(logits)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING", "descending"])
@pytest.mark.parametrize(
    "ours, paper",
    [
        (st.sorting.neural_sort, neural_sort_of_the_paper),
        (st.sorting.soft_sort_l1, soft_sort_of_the_paper),
    ],
)
def test_it_is_the_formula_of_the_paper(rng, ours, paper, direction):
    s = rng.normal(size=6)
    rows = paper(s, 0.7)
    known = rows if direction.upper() == "DESCENDING" else rows[::-1]
    np.testing.assert_allclose(ours(s, 0.7, direction=direction), known.T, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_low_temperatures_sort(rng, kind):
    values = rng.permutation(9).astype(np.float32)
    plan = kind(values, 0.01)
    np.testing.assert_allclose(plan, np.eye(9)[values.astype(int)], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING"])
def test_masks_mean_the_others(rng, kind, direction):
    values = rng.normal(size=(3, 5))
    mask = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    given = np.where(mask, values, np.nan)
    variable = tf.constant(given)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        plan = kind(variable, 0.5, direction=direction, mask=mask)
        loss = tf.reduce_sum(plan * rng.normal(size=(5, 5)))
    for k in range(3):
        count = mask[k].sum()
        known = np.zeros((5, 5))
        if count:
            alone = kind(values[k][mask[k]], 0.5, direction=direction)
            known[np.ix_(mask[k], np.arange(5) < count)] = alone
        np.testing.assert_allclose(plan[k], known, atol=1e-12)
    gradient = tape.gradient(loss, variable).numpy()
    assert np.isfinite(gradient).all() and (gradient[~mask] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_axes_dtypes_and_batches(rng, kind):
    values = rng.normal(size=(2, 4, 3))
    plan = kind(values, np.array([[0.5] * 3, [2.0] * 3]), axis=1)
    assert plan.shape == (2, 3, 4, 4)
    np.testing.assert_allclose(plan[1, 2], kind(values[1, :, 2], 2.0), rtol=1e-10)
    np.testing.assert_allclose(tf.reduce_sum(plan, -2), 1, rtol=1e-10)
    for name in ("float16", "bfloat16", "float32"):
        assert kind(tf.cast(values, name)).dtype == name
    jitted = tf.function(kind, jit_compile=True)(values)
    np.testing.assert_allclose(jitted, kind(values), rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_differences(rng, kind):
    values = tf.constant(rng.normal(size=5))
    weights, direction = rng.normal(size=(5, 5)), rng.normal(size=5)
    value = lambda x: tf.reduce_sum(kind(x, 0.8) * weights)
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = value(values)
    slope = tf.reduce_sum(tape.gradient(result, values) * direction)
    h = 1e-6
    central = (value(values + h * direction) - value(values - h * direction)) / (2 * h)
    np.testing.assert_allclose(slope, central, rtol=1e-6)


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"temperature": 0.0}, ValueError),
        ({"axis": 1}, ValueError),
        ({"axis": 0.5}, TypeError),
        ({"direction": "UP"}, ValueError),
        ({"direction": 1}, TypeError),
        ({"mask": [True]}, ValueError),
        ({"mask": [1, 1, 1]}, TypeError),
    ],
)
def test_errors_name_the_value_received(arguments, error):
    for kind in KINDS:
        with pytest.raises(error, match="Received: "):
            kind([1.0, 2.0, 3.0], **arguments)
