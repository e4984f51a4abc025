import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
import tensorflow as tf

import sinkhorn_tf as st

GumbelSinkhorn = st.distributions.GumbelSinkhorn


def kl_by_integration(loc, scale, prior_scale):
    """KL(Gumbel(loc, scale) || Gumbel(0, prior_scale)), numerically."""
    q = scipy.stats.gumbel_r(loc, scale)
    p = scipy.stats.gumbel_r(0, prior_scale)
    low, high = q.ppf(1e-14), q.isf(1e-14)
    terms = lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x))
    return scipy.integrate.quad(terms, low, high, limit=500)[0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("prior_temperature", [0.7, 1.5])
@pytest.mark.parametrize("noise_scale", [0.5, 2.0])
def test_kl_is_that_of_numerical_integration(
    rng, temperature, prior_temperature, noise_scale
):
    x = rng.normal(size=(2, 2))
    known = sum(
        kl_by_integration(
            loc / temperature,
            noise_scale / temperature,
            noise_scale / prior_temperature,
        )
        for loc in x.flat
    )
    kl = GumbelSinkhorn(x, temperature, noise_scale).kl_to_prior(prior_temperature)
    np.testing.assert_allclose(kl, known, rtol=1e-6)


def test_kl_is_zero_for_the_prior_itself():
    distribution = GumbelSinkhorn(np.zeros((3, 4, 4)), 0.7, 0.3)
    np.testing.assert_allclose(distribution.kl_to_prior(0.7), 0, atol=1e-12)
    np.testing.assert_allclose(distribution.kl_to_prior(0.7, tight=True), 0, atol=1e-10)


@pytest.mark.parametrize("tight", [False, True])
def test_kl_has_its_gradient(rng, tight):
    arguments = [
        tf.constant(rng.normal(size=(3, 3))),
        tf.constant(0.7, tf.float64),
        tf.constant(1.3, tf.float64),
        tf.constant(0.9, tf.float64),
    ]
    kl = lambda x, t, s, p: GumbelSinkhorn(x, t, s).kl_to_prior(p, tight=tight)
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = kl(*arguments)
    for k, slope in enumerate(tape.gradient(value, arguments)):
        direction = rng.normal(size=slope.shape)
        h = 1e-5
        low, high = (
            kl(*(a + sign * h * direction * (j == k) for j, a in enumerate(arguments)))
            for sign in (-1, 1)
        )
        np.testing.assert_allclose(
            tf.reduce_sum(slope * direction), (high - low) / (2 * h), rtol=1e-5
        )


def test_tight_kl_is_the_least_over_shifts(rng):
    x = rng.normal(size=(3, 3))
    kl = lambda x: float(GumbelSinkhorn(x, 0.8).kl_to_prior(1.2))
    shifted = lambda s: kl(x + s[:3, None] + s[None, 3:])
    least = scipy.optimize.minimize(shifted, np.zeros(6), tol=1e-10).fun
    tight = GumbelSinkhorn(x, 0.8).kl_to_prior(1.2, tight=True)
    np.testing.assert_allclose(tight, least, rtol=1e-6)
    moved = GumbelSinkhorn(x - 3 + rng.normal(size=(3, 1)), 0.8)
    np.testing.assert_allclose(moved.kl_to_prior(1.2, tight=True), tight, rtol=1e-6)
    assert moved.kl_to_prior(1.2) > 10 * tight


@pytest.mark.parametrize("tight", [False, True])
def test_kl_bounds_that_of_the_matchings(rng, tight):
    x = 2 * rng.normal(size=(3, 3))
    samples = GumbelSinkhorn(x).sample_matching(200_000, seed=0).numpy()
    _, counts = np.unique(samples, axis=0, return_counts=True)
    share = counts / counts.sum()
    of_matchings = (share * np.log(share * 6)).sum()
    bound = float(GumbelSinkhorn(x).kl_to_prior(tight=tight))
    assert of_matchings < bound < (20 if tight else 200) * of_matchings


@pytest.mark.parametrize("tight", [False, True])
def test_pairs_that_are_forbidden_or_missing_add_nothing(rng, tight):
    x = rng.normal(size=(3, 3))
    mask = np.array([True, True, False])
    whole = np.full((4, 3), np.nan)
    whole[:3] = x
    row_mask = np.array([True, True, True, False])
    whole[:, 2] = np.nan
    masked = GumbelSinkhorn(whole[:, :], row_mask=row_mask, col_mask=mask)
    plain = GumbelSinkhorn(x[:, :2])
    np.testing.assert_allclose(
        masked.kl_to_prior(tight=tight), plain.kl_to_prior(tight=tight), rtol=1e-9
    )
    forbidden = x.copy()
    forbidden[0, 1] = -np.inf
    with_pair = GumbelSinkhorn(x).kl_to_prior()
    pair = GumbelSinkhorn(x[:1, 1:2]).kl_to_prior()
    without = GumbelSinkhorn(forbidden).kl_to_prior()
    np.testing.assert_allclose(with_pair - pair, without, rtol=1e-9)
    assert 0 < GumbelSinkhorn(forbidden).kl_to_prior(tight=True) < without


def test_kl_in_a_batch_of_scales_keeps_examples_apart(rng):
    x = rng.normal(size=(3, 2, 2))
    t, s, p = (np.exp(rng.normal(size=3)) for _ in range(3))
    together = GumbelSinkhorn(x, t, s).kl_to_prior(p, tight=True)
    for k in range(3):
        alone = GumbelSinkhorn(x[k], t[k], s[k]).kl_to_prior(p[k], tight=True)
        np.testing.assert_allclose(together[k], alone, rtol=1e-9)


def test_logits_of_a_graph_that_are_not_finite_give_nan():
    x = np.zeros((2, 2, 2), np.float32)
    for value in (np.nan, np.inf):
        x[0, 0, 0] = value
        for tight in (False, True):
            kl, slope = of_a_graph(x, tight)
            assert np.isnan(kl[0]) and abs(kl[1]) < 1e-6 and np.isfinite(slope)


@tf.function
def of_a_graph(x, tight):
    """The divergences, and the derivative of the good one to a temperature of all."""
    t = tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(t)
        kl = GumbelSinkhorn(x, t).kl_to_prior(tight=tight)
        good = tf.reduce_sum(tf.where(tf.math.is_finite(kl), kl, 0))
    return kl, tape.gradient(good, t)


def test_without_noise_the_divergence_is_refused():
    with pytest.raises(ValueError, match="Received: noise_scale=0"):
        GumbelSinkhorn(np.eye(2), noise_scale=0.0).kl_to_prior()


@pytest.mark.parametrize("tight", [1, "yes"])
def test_errors_name_the_value_received(tight):
    with pytest.raises(TypeError, match="Received: tight="):
        GumbelSinkhorn(np.eye(2)).kl_to_prior(tight=tight)
    with pytest.raises(ValueError, match="Received: prior_temperature="):
        GumbelSinkhorn(np.eye(2)).kl_to_prior(-1.0)


def test_samples_are_the_operator_of_noisy_logits(rng):
    x = rng.normal(size=(3, 4, 4)).astype(np.float32)
    temperature = np.array([0.5, 1, 2], np.float32)
    distribution = GumbelSinkhorn(x, temperature, 0.3, n_iters=7)
    noise = st.distributions.gumbel_noise((2, 5, 3, 4, 4), 9)
    soft = distribution.sample((2, 5), seed=9)
    assert soft.shape == (2, 5, 3, 4, 4)
    noisy = x + 0.3 * noise
    np.testing.assert_allclose(soft, st.sinkhorn(noisy, temperature, 7), atol=1e-6)
    np.testing.assert_array_equal(
        distribution.sample_matching((2, 5), seed=9), st.matching(noisy)
    )
    np.testing.assert_array_equal(distribution.mode(), st.matching(x))


def test_samples_are_reparameterised(rng):
    x = tf.constant(rng.normal(size=(3, 3)), tf.float32)
    t, s = tf.constant(0.9), tf.constant(0.4)
    with tf.GradientTape() as tape:
        tape.watch([x, t, s])
        loss = tf.reduce_sum(GumbelSinkhorn(x, t, s).sample(4, seed=0)[..., 0, 1])
    assert all(tf.reduce_max(abs(g)) > 0 for g in tape.gradient(loss, [x, t, s]))


def test_masks_hold_in_samples(rng):
    x = rng.normal(size=(2, 3, 5)).astype(np.float32)
    row_mask = np.array([[1, 0, 1], [1, 1, 1]], bool)
    distribution = GumbelSinkhorn(x, 0.1, n_iters=200, row_mask=row_mask)
    soft = distribution.sample(6, seed=0).numpy()
    np.testing.assert_allclose(
        soft.sum(-1), np.broadcast_to(row_mask, (6, 2, 3)), atol=0.02
    )
    assert (distribution.sample_matching(6, seed=0).numpy()[:, 0, 1] == -1).all()


@pytest.mark.parametrize("method", ["log_prob", "entropy", "mean"])
def test_what_is_not_tractable_names_the_alternative(method):
    distribution = GumbelSinkhorn(np.eye(2))
    call = getattr(distribution, method)
    with pytest.raises(NotImplementedError, match=f"tractable {method}: "):
        call(0) if method == "log_prob" else call()


def test_shapes():
    distribution = GumbelSinkhorn(np.zeros((5, 1, 3, 4)))
    assert distribution.batch_shape() == [5, 1]
    assert distribution.event_shape() == [3, 4]
    assert distribution.sample(seed=0).shape == (5, 1, 3, 4)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_is_kept(name):
    distribution = GumbelSinkhorn(tf.cast(np.eye(3), name))
    assert distribution.sample(seed=0).dtype == name
    assert distribution.kl_to_prior(tight=True).dtype == name
