import functools

import numpy as np
import pytest
import tensorflow as tf

import sinkhorn_tf as st
from sinkhorn_tf.distributions._gumbel_sinkhorn import gumbel_noise

sinkhorn = functools.partial(st.sinkhorn, n_iters=3, jit_compile=False)
gumbel_sinkhorn = functools.partial(
    st.gumbel_sinkhorn, n_iters=3, seed=0, jit_compile=False
)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_same_seed_gives_same_noise_in_every_mode(dtype):
    noise = lambda seed: gumbel_noise((3, 50, 50), seed, dtype)
    seed = tf.constant([3, -7])
    eager = noise(seed)
    for jit_compile in (False, True):
        traced = tf.function(noise, jit_compile=jit_compile)(seed)
        np.testing.assert_allclose(traced, eager, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_same_seed_gives_same_samples_in_every_mode(rng, jit_compile):
    x = rng.normal(size=(2, 4, 4)).astype(np.float32)
    sample = lambda x, seed: st.gumbel_sinkhorn(
        x, 0.5, n_samples=2, n_iters=3, seed=seed
    )
    eager = sample(x, 5)
    traced = tf.function(lambda x: sample(x, 5), jit_compile=jit_compile)(x)
    runtime = tf.function(sample, jit_compile=jit_compile)(x, tf.constant([5, 0]))
    for other in (traced, runtime):
        for a, e in zip(other, eager, strict=True):
            np.testing.assert_allclose(a, e, atol=2e-6)


@pytest.mark.parametrize(
    "seed",
    [5, np.int64(5), [5, 0], np.array([5, 0]), tf.constant([5, 0], tf.int64)],
    ids=lambda seed: type(seed).__name__,
)
def test_equal_seeds_of_any_type_give_equal_noise(seed):
    np.testing.assert_array_equal(gumbel_noise((4,), seed), gumbel_noise((4,), 5))


def test_different_seeds_give_different_noise():
    seeds = [0, 1, -1, 2**32, 2**40, -(2**40), [1, 1], [0, -1]]
    draws = {tuple(gumbel_noise((4,), seed).numpy()) for seed in seeds}
    assert len(draws) == len(seeds)


def test_no_seed_draws_fresh_noise_at_each_eager_call():
    assert not np.array_equal(gumbel_noise((4,), None), gumbel_noise((4,), None))


def test_no_seed_in_a_trace_is_an_error():
    with pytest.raises(ValueError, match="Received: seed=None"):
        tf.function(st.gumbel_sinkhorn)(np.eye(3, dtype=np.float32))


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"seed": 1.5}, TypeError),
        ({"seed": True}, TypeError),
        ({"seed": [1, 2, 3]}, ValueError),
        ({"n_samples": 0}, ValueError),
        ({"n_samples": 1.0}, TypeError),
        ({"noise_scale": -1.0}, ValueError),
        ({"noise_scale": np.nan}, ValueError),
        ({"temperature": 0.0}, ValueError),
        ({"n_iters": -1}, ValueError),
    ],
)
def test_errors_name_the_value_received(arguments, error):
    with pytest.raises(error, match="Received: "):
        st.gumbel_sinkhorn(np.eye(3, dtype=np.float32), **arguments)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="int64"):
        gumbel_sinkhorn(np.eye(3, dtype=np.int64))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_noise_is_standard_gumbel(dtype):
    noise = gumbel_noise((10**6,), 1, dtype).numpy()
    assert noise.dtype == dtype.as_numpy_dtype
    assert np.isfinite(noise).all()
    assert abs(noise.mean() - np.euler_gamma) < 0.01
    assert abs(noise.std() - np.pi / 6**0.5) < 0.01
    # The distribution, not only its first moments.
    uniform = np.exp(-np.exp(-noise))
    counts, _ = np.histogram(uniform, bins=10, range=(0, 1))
    assert ((counts - 1e5) ** 2 / 1e5).sum() < 28  # 99.9 % of chi-square with 9


@pytest.mark.parametrize("dtype, bits", [(tf.float32, 32), (tf.float64, 64)])
def test_noise_is_finite_for_the_first_and_the_last_bits(monkeypatch, dtype, bits):
    ends = np.array([0, 2**bits - 1], f"uint{bits}")
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *a, **k: ends)
    low, high = gumbel_noise((2,), 0, dtype).numpy()
    assert -5 < low < -2 and 15 < high < 40


@pytest.mark.parametrize("batch", [(), (3,), (2, 1), (0,)])
def test_shapes(rng, batch):
    x = rng.normal(size=(*batch, 4, 4)).astype(np.float32)
    soft, noisy = gumbel_sinkhorn(x, n_samples=5)
    assert soft.shape == noisy.shape == (*batch, 5, 4, 4)


def test_static_shapes_with_unknown_batch():
    function = tf.function(
        lambda x: gumbel_sinkhorn(x, n_samples=5),
        input_signature=[tf.TensorSpec([None, 4, 4])],
    )
    for output in function.get_concrete_function().outputs:
        assert output.shape.as_list() == [None, 5, 4, 4]


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_is_kept(rng, name):
    x = tf.cast(rng.normal(size=(2, 4, 4)), name)
    soft, noisy = gumbel_sinkhorn(x)
    assert soft.dtype == noisy.dtype == name


def test_no_noise_at_scale_zero(rng):
    x = rng.normal(size=(2, 4, 4)).astype(np.float32)
    soft, noisy = gumbel_sinkhorn(x, 0.5, 3, 0.0)
    plan = sinkhorn(x, 0.5)
    for sample in range(3):
        np.testing.assert_array_equal(noisy[:, sample], x)
        np.testing.assert_allclose(soft[:, sample], plan, atol=1e-6)


def test_noise_is_added_before_the_division(rng):
    x = rng.normal(size=(2, 4, 4)).astype(np.float32)
    warm, noisy = gumbel_sinkhorn(x, 2.0, 3, 0.5)
    cold, noisy_too = gumbel_sinkhorn(x, 0.2, 3, 0.5)
    np.testing.assert_array_equal(noisy, noisy_too)
    noise = gumbel_noise((2, 3, 4, 4), 0)
    np.testing.assert_allclose(noisy, x[:, None] + 0.5 * noise, atol=1e-6)
    np.testing.assert_allclose(warm, sinkhorn(noisy, 2.0), atol=1e-6)
    np.testing.assert_allclose(cold, sinkhorn(noisy, 0.2), atol=1e-6)


def test_temperature_and_noise_scale_of_each_example(rng):
    x = rng.normal(size=(2, 4, 4)).astype(np.float32)
    t, scale = np.float32([0.2, 2.0]), np.float32([0.0, 3.0])
    soft, noisy = gumbel_sinkhorn(x, t, 3, scale)
    noise = gumbel_noise((2, 3, 4, 4), 0)
    expected = x[:, None] + scale[:, None, None, None] * noise
    np.testing.assert_allclose(noisy, expected, atol=1e-6)
    np.testing.assert_allclose(soft, sinkhorn(noisy, t[:, None]), atol=1e-6)


def test_samples_and_examples_differ():
    _, noisy = gumbel_sinkhorn(np.zeros((2, 4, 4), np.float32), 1, 3)
    draws = noisy.numpy().reshape(6, 16)
    assert len(np.unique(draws, axis=0)) == 6


def test_forbidden_pairs_stay_forbidden(rng):
    x = rng.normal(size=(2, 4, 4)).astype(np.float32)
    x[:, 0, 1:3] = -np.inf
    soft, noisy = gumbel_sinkhorn(x, 0.5, 3)
    assert (noisy.numpy()[:, :, 0, 1:3] == -np.inf).all()
    assert (soft.numpy()[:, :, 0, 1:3] == 0).all()
    assert np.isfinite(soft).all()


def test_gradient_flows_to_logits_temperature_and_noise_scale(rng):
    x = tf.constant(rng.normal(size=(2, 4, 4)), tf.float32)
    inputs = [x, tf.constant(0.5), tf.constant(1.0)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        x, t, scale = inputs
        soft, _ = gumbel_sinkhorn(x, t, 2, scale)
        loss = tf.reduce_sum(soft**2)
    for gradient in tape.gradient(loss, inputs):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@pytest.fixture
def masks():
    """Masks of items and positions of two examples."""
    rows = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], bool)
    columns = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
    return rows, columns


def test_masks_are_the_same_for_all_samples(rng, masks):
    rows, columns = masks
    exists = rows[:, :, None] & columns[:, None]
    x = rng.normal(size=(2, 4, 5)).astype(np.float32)
    poisoned = np.where(exists, x, [[[np.nan, np.inf, -np.inf, 1e38, 0]]])
    poisoned = tf.constant(poisoned, tf.float32)
    scale = tf.constant(0.5)
    with tf.GradientTape() as tape:
        tape.watch([poisoned, scale])
        soft, noisy = gumbel_sinkhorn(
            poisoned, 0.7, 3, scale, row_mask=rows, col_mask=columns
        )
        loss = tf.reduce_sum(soft**2) + tf.reduce_sum(noisy**2)
    noise = gumbel_noise((2, 3, 4, 5), 0)
    expected = np.where(exists[:, None], x[:, None] + 0.5 * noise, 0)
    np.testing.assert_allclose(noisy, expected, atol=1e-6)
    plan = sinkhorn(noisy, 0.7, row_mask=rows[:, None], col_mask=columns[:, None])
    np.testing.assert_allclose(soft, plan, atol=1e-6)
    assert (soft.numpy()[~np.broadcast_to(exists[:, None], soft.shape)] == 0).all()
    gradient, of_scale = tape.gradient(loss, [poisoned, scale])
    assert np.isfinite(gradient).all() and (gradient.numpy()[~exists] == 0).all()
    assert np.isfinite(of_scale)


def test_a_mask_of_all_examples_and_masks_of_one(rng, masks):
    x = rng.normal(size=(2, 4, 5)).astype(np.float32)
    rows, columns = masks
    one, _ = gumbel_sinkhorn(x, n_samples=2, row_mask=rows[0])
    each, _ = gumbel_sinkhorn(x, n_samples=2, row_mask=rows[:1].repeat(2, 0))
    np.testing.assert_array_equal(one, each)
    several, _ = gumbel_sinkhorn(x[0], n_samples=2, col_mask=columns)
    assert several.shape == (2, 2, 4, 5)
