"""`soft_top_k` against sorting, against the plan onto two positions, and by its laws."""

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.sinkhorn_reference import logsumexp

TEMPERATURES = [1e-6, 1e-3, 0.1, 1.0, 30.0, 1e6]


def soft_top_k(values, k, temperature=1.0, **options):
    return st.soft_top_k(values, k, temperature, jit_compile=False, **options)


def reference(values, k, t, n_iters=20_000):
    """The plan onto two positions of masses k and N - k by iteration, one example."""
    z = np.stack([values / t, np.zeros_like(values)], 1)
    masses = np.log([k, len(values) - k])
    for _ in range(n_iters):
        before = z
        z = z - logsumexp(z, 1)
        z = z - logsumexp(z, 0) + masses
        if np.abs(z - before).max() < 1e-15:
            break
    return np.exp(z[:, 0])


def derivative(function, x, step=1e-5):
    """Central differences of a function of a vector: `[..., N]`."""
    x = np.asarray(x)
    moves = step * np.eye(x.size)
    columns = [(function(x + m) - function(x - m)) / (2 * step) for m in moves]
    return np.stack([np.asarray(column) for column in columns], -1)


@pytest.mark.parametrize("n, k", [(1, 0), (1, 1), (2, 1), (7, 3), (40, 39), (40, 1)])
def test_low_temperatures_select_the_largest(rng, n, k):
    values = rng.permuted(np.tile(np.arange(n) * 3.0 - 50, (3, 1)), axis=-1)
    expected = values > n * 3.0 - 50 - 3 * k - 1
    for dtype in (np.float32, np.float64):
        shares = soft_top_k(values.astype(dtype), k, 1e-3)
        assert shares.dtype == dtype
        np.testing.assert_array_equal(shares, expected)


@pytest.mark.parametrize("t", TEMPERATURES)
def test_the_shares_sum_to_k(rng, t):
    values = rng.normal(size=(5, 1, 30))
    values[1], values[2], values[3] = values[1].round(), 7.0, values[3] ** 9
    k = np.arange(31)
    # One call with every k, one example for each.
    shares = soft_top_k(values + 1e3, k, t).numpy()
    assert shares.shape == (5, 31, 30)
    assert shares.min() >= 0 and shares.max() <= 1
    np.testing.assert_allclose(shares.sum(-1), np.tile(k, (5, 1)), rtol=1e-14)
    narrow = soft_top_k((values + 1e3).astype(np.float32), k, t)
    np.testing.assert_allclose(
        narrow.numpy().astype(np.float64).sum(-1), np.tile(k, (5, 1)), rtol=1e-7
    )
    order = np.argsort(values, axis=-1)
    ascending = np.take_along_axis(shares, np.broadcast_to(order, shares.shape), -1)
    assert (np.diff(ascending) >= 0).all()


@pytest.mark.parametrize("t", [0.2, 1.0, 10.0])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_shares_are_the_limit_of_the_iterations(rng, k, t):
    values = rng.normal(size=6)
    np.testing.assert_allclose(
        soft_top_k(values, k, t), reference(values, k, t), rtol=1e-9
    )


def test_shares_are_a_plan_onto_two_positions(rng):
    values = rng.normal(size=(4, 9))
    logits = np.stack([values, np.zeros_like(values)], -1)
    for t in (0.05, 1.0):
        plan = st.sinkhorn_solve(
            logits, t, row_marginals=np.ones(9), col_marginals=[4.0, 5.0]
        ).plan
        np.testing.assert_allclose(soft_top_k(values, 4, t), plan[..., 0], atol=1e-6)


def test_far_from_the_threshold_shares_keep_their_digits():
    # The gap of 100 at t = 1 leaves shares of exp(-50), whose sums must balance.
    shares = soft_top_k(np.float64([100, 100, 0, 0, 0]), 2).numpy()
    np.testing.assert_allclose(shares[2:], np.sqrt(2 / 3) * np.exp(-50), rtol=1e-12)
    shares = soft_top_k(np.float64([2000, 1000, 0]), 1).numpy()
    np.testing.assert_allclose(shares, [1, np.exp(-500), 0], rtol=1e-12)


def test_ties_share(rng):
    for t in TEMPERATURES:
        shares = soft_top_k(np.float64([2, 1, 2, 2, 0]), 2, t).numpy()
        np.testing.assert_array_equal(shares[[0, 2]], shares[3])
        np.testing.assert_allclose(soft_top_k(np.ones(4), 1, t), np.full(4, 0.25))
    np.testing.assert_allclose(shares, np.full(5, 0.4), rtol=1e-5)
    shares = soft_top_k(np.float64([2, 1, 2, 2, 0]), 2, 1e-3)
    np.testing.assert_allclose(shares, [2 / 3, 0, 2 / 3, 2 / 3, 0], atol=1e-12)


def test_laws(rng):
    values, order = rng.normal(size=(3, 8)), rng.permutation(8)
    shares = soft_top_k(values, 3, 0.4).numpy()
    np.testing.assert_allclose(
        soft_top_k(values[:, order], 3, 0.4), shares[:, order], rtol=1e-13
    )
    np.testing.assert_allclose(soft_top_k(8 * values + 64, 3, 3.2), shares, rtol=1e-12)
    # The selection of the others by minus the values.
    np.testing.assert_allclose(soft_top_k(-values, 5, 0.4), 1 - shares, rtol=1e-10)


def test_any_offset_and_any_spread():
    values = np.float64([3, 1, 2])
    for t in (1e-6, 1.0):
        np.testing.assert_array_equal(
            soft_top_k(values + 2.0**50, 2, t), soft_top_k(values, 2, t)
        )
    largest = np.finfo(np.float64).max
    for t in (1e-300, 1.0, 1e300):
        x = tf.constant([largest, -largest, 0.0, 1.0], tf.float64)
        t = tf.constant(t, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch([x, t])
            shares = soft_top_k(x, 1, t)
            first = shares[0]
        np.testing.assert_allclose(tf.reduce_sum(shares), 1, rtol=1e-14)
        gradients = tape.gradient(first, [x, t])
        assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("t", [0.1, 1.0])
def test_gradients_are_those_of_differences(rng, k, t):
    values, weights = rng.normal(size=5), rng.normal(size=5)
    weights = tf.constant(weights)

    def gradients(values, t):
        x, t = tf.constant(values), tf.constant(t)
        with tf.GradientTape() as tape:
            tape.watch([x, t])
            loss = tf.reduce_sum(weights * soft_top_k(x, k, t))
        return tape.gradient(loss, [x, t])

    by_values, by_t = gradients(values, t)
    loss = lambda v, t: tf.reduce_sum(weights * soft_top_k(v, k, t))
    expected = derivative(lambda v: loss(v, t), values)
    np.testing.assert_allclose(by_values, expected, rtol=1e-6, atol=1e-9)
    expected = derivative(lambda t: loss(values, t[0]), np.array([t]))[0]
    np.testing.assert_allclose(by_t, expected, rtol=1e-6, atol=1e-9)
    # A shift of all values changes nothing.
    assert abs(by_values.numpy().sum()) < 1e-13


def test_second_derivatives(rng):
    weights = tf.constant(rng.normal(size=(2, 5)))
    # The last one is the temperature.
    v = tf.constant(np.append(rng.normal(size=4), 0.7))

    def slope(v):
        with tf.GradientTape() as tape:
            tape.watch(v)
            shares = st.soft_top_k(v[:-1], 2, v[-1])
            loss = tf.reduce_sum(weights[0, :-1] * shares)
        return tf.reduce_sum(weights[1] * tape.gradient(loss, v))

    def second(v):
        with tf.GradientTape() as tape:
            tape.watch(v)
            y = slope(v)
        return y, tape.gradient(y, v)

    expected = derivative(lambda v: second(tf.constant(v))[0], v)
    np.testing.assert_allclose(second(v)[1], expected, rtol=1e-6, atol=1e-8)


def test_forbidden_values_are_taken_last():
    values = np.float64([-np.inf, 1, 2, -np.inf, 0])
    expected = {
        0: [0, 0, 0, 0, 0],
        3: [0, 1, 1, 0, 1],
        4: [0.5, 1, 1, 0.5, 1],
        5: [1, 1, 1, 1, 1],
    }
    x, weights = tf.constant(values), tf.range(5.0, dtype=tf.float64) ** 2
    for k in range(6):
        with tf.GradientTape() as tape:
            tape.watch(x)
            shares = soft_top_k(x, k)
        gradient = tape.gradient(shares, x, output_gradients=weights)
        assert np.isfinite(gradient).all()
        assert gradient.numpy().any() == (k in (1, 2))
        if k in expected:
            np.testing.assert_array_equal(shares, expected[k])
        else:
            np.testing.assert_allclose(
                shares.numpy()[[1, 2, 4]], soft_top_k(values[[1, 2, 4]], k), rtol=1e-14
            )
            assert not shares.numpy()[[0, 3]].any()
    np.testing.assert_allclose(soft_top_k([-np.inf] * 4, 1), [0.25] * 4)


def test_masks_mean_the_values_that_exist(rng):
    values, mask = rng.normal(size=(6, 7)), rng.random((6, 7)) < 0.6
    mask[0], mask[1] = False, True
    spoiled = np.where(mask, values, rng.choice([np.nan, np.inf, -np.inf], (6, 7)))
    shares = soft_top_k(spoiled, 3, 0.3, mask=mask).numpy()
    for each, exists, row in zip(values, mask, shares, strict=True):
        assert not row[~exists].any()
        if exists.sum() <= 3:
            assert (row[exists] == 1).all()
        else:
            np.testing.assert_allclose(
                row[exists], soft_top_k(each[exists], 3, 0.3), rtol=1e-13
            )
    x = tf.constant(spoiled)
    with tf.GradientTape() as tape:
        tape.watch(x)
        shares = soft_top_k(x, 3, 0.3, mask=mask)
    gradient = tape.gradient(shares, x, output_gradients=rng.normal(size=(6, 7)))
    assert np.isfinite(gradient).all() and not gradient.numpy()[~mask].any()


def test_an_invalid_example_is_alone(rng):
    values = rng.normal(size=(4, 6)).astype(np.float32)
    bad = values.copy()
    bad[0, 2], bad[2, 1] = np.nan, np.inf
    x = tf.constant(bad)
    with tf.GradientTape() as tape:
        tape.watch(x)
        shares = soft_top_k(x, 2, 0.5)
        loss = tf.reduce_sum(shares[:, :3])
    gradient = tape.gradient(loss, x).numpy()
    assert np.isnan(shares.numpy()[::2]).all() and not gradient[::2].any()
    assert np.isfinite(gradient).all() and gradient[1::2].any()
    expected = soft_top_k(values, 2, 0.5).numpy()
    np.testing.assert_array_equal(shares[1::2], expected[1::2])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_unknown_sizes_and_values_in_a_trace(rng, jit_compile):
    traced = tf.function(
        st.soft_top_k,
        [
            tf.TensorSpec([None, None], tf.float32),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None], tf.float32),
        ],
        jit_compile=jit_compile,
    )
    values = rng.normal(size=(5, 7)).astype(np.float32)
    k, t = np.array([2, 0, 7, -1, 8]), np.float32([0.1, 1, 2, 1, 1])
    shares = traced(values, k, t).numpy()
    np.testing.assert_allclose(shares[:3].sum(1), k[:3], rtol=1e-6)
    assert np.isnan(shares[3:]).all()
    k, t = np.array([2, 2, 2, 2**40 + 2, 2]), np.float32([0.1, 0, np.nan, 1, -1])
    shares = traced(values, k, t).numpy()
    np.testing.assert_array_equal(np.isnan(shares).all(1), [0, 1, 1, 1, 1])
    np.testing.assert_allclose(shares[0], soft_top_k(values[0], 2, 0.1), rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_sixteen_bits(rng, dtype):
    values = tf.cast(rng.normal(size=(2, 5)), dtype)
    shares = soft_top_k(values, 2, 0.1)
    assert shares.dtype == dtype
    wide = soft_top_k(tf.cast(values, tf.float64), 2, 0.1)
    np.testing.assert_array_equal(shares, tf.cast(wide, dtype))


def test_batches_broadcast(rng):
    values = rng.normal(size=(3, 1, 6))
    k, t = np.array([1, 2, 3, 4]), np.array([[0.1], [1.0], [2.0]])
    mask = rng.random((2, 1, 1, 6)) < 0.8
    shares = soft_top_k(values, k, t, mask=mask).numpy()
    assert shares.shape == (2, 3, 4, 6)
    for a, b, c in np.ndindex(2, 3, 4):
        alone = soft_top_k(values[b, 0], k[c], t[b, 0], mask=mask[a, 0, 0])
        np.testing.assert_allclose(shares[a, b, c], alone, rtol=1e-13)


@pytest.mark.parametrize("bad", [-1, 4, [1, 4], 2**40])
def test_k_out_of_range(bad):
    with pytest.raises(ValueError, match="k must be from 0 to N = 3. Received: k="):
        st.soft_top_k(np.ones((2, 3)), bad)


def test_a_batch_that_does_not_fit():
    with pytest.raises(
        ValueError, match=r"k must broadcast .*Received: k.shape=\(3,\)"
    ):
        st.soft_top_k(np.ones((2, 3)), [1, 1, 1])
    with pytest.raises(ValueError, match=r"Received: mask.shape=\(4,\)"):
        st.soft_top_k(np.ones((2, 3)), 1, mask=[True] * 4)
