import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.distributions import enumeration

GumbelMatching = st.distributions.GumbelMatching


def frequencies(x, noise_scale, count, rng):
    """The shares of all matchings, by NumPy's noise and enumeration."""
    lists = enumeration.matchings(*x.shape)
    total = np.zeros(len(lists))
    for _ in range(count // 100_000):
        noisy = x + noise_scale * rng.gumbel(size=(100_000, *x.shape))
        chosen = enumeration.matrices(lists, x.shape[1])
        best = np.einsum("snm,knm->sk", noisy, chosen).argmax(1)
        total += np.bincount(best, None, len(lists))
    return lists, total / total.sum()


@pytest.mark.parametrize("n, m", [(2, 2), (3, 3), (2, 3), (3, 2)])
def test_frequencies_are_those_of_an_independent_simulation(rng, n, m):
    x = rng.normal(size=(n, m))
    lists, share = frequencies(x, 0.7, 1_000_000, rng)
    samples = GumbelMatching(x, 0.7).sample(20_000, seed=1).numpy()
    number = {tuple(row): k for k, row in enumerate(lists.tolist())}
    observed = np.bincount(
        [number[tuple(s)] for s in samples.tolist()], None, len(lists)
    )
    assert scipy.stats.chisquare(observed, 20_000 * share).pvalue > 1e-3


def test_it_is_not_the_boltzmann_distribution_of_the_same_logits(rng):
    x = np.array([[1.0, 0], [0, 1]])
    _, share = frequencies(x, 1.0, 1_000_000, rng)
    boltzmann = st.distributions.BoltzmannPermutations(x).log_prob([0, 1])
    # 1 / (1 + exp(-2)) = .881; perturbed: .794 of a million samples.
    assert np.exp(boltzmann) - share[0] > 0.05


def of_expectation(values, x, noise_scale, weights, count, rng):
    """The gradient of sum_k value_k(weights) P(k) by central differences of P."""
    lists = enumeration.matchings(*x.shape)
    chosen = enumeration.matrices(lists, x.shape[1])
    noise = noise_scale * rng.gumbel(size=(count, *x.shape))
    gradient = np.zeros_like(x)
    h = 0.2
    for index in np.ndindex(*x.shape):
        both = []
        for sign in (-1, 1):
            moved = x.copy()
            moved[index] += sign * h
            best = np.einsum("snm,knm->sk", moved + noise, chosen).argmax(1)
            both.append(values[best].mean())
        gradient[index] = (both[1] - both[0]) / (2 * h)
    return gradient


def test_the_perturbed_gradient_is_that_of_the_expectation(rng):
    x = rng.normal(size=(3, 3))
    v = rng.normal(size=(3, 3))
    values = enumeration.scores(v, enumeration.matchings(3, 3))
    known = of_expectation(values, x, 1.0, v, 300_000, rng)
    logits = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        mean = GumbelMatching(logits).expected_matching(300_000, seed=0)
        value = tf.reduce_sum(mean * v)
    np.testing.assert_allclose(tape.gradient(value, logits), known, atol=0.02)
    _, share = frequencies(x, 1.0, 1_000_000, rng)
    np.testing.assert_allclose(value, share @ values, atol=0.01)


@pytest.mark.parametrize("noise_scale", [0.6, 1.0])
def test_the_gradient_of_the_expected_loss_is_that_of_the_expectation(rng, noise_scale):
    x = rng.normal(size=(3, 3))
    values = 3 * rng.normal(size=6)
    table = np.zeros((3, 3, 3))
    for perm, value in zip(enumeration.matchings(3, 3), values, strict=True):
        table[tuple(perm)] = value
    known = of_expectation(values, x, noise_scale, None, 300_000, rng)
    logits = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = GumbelMatching(logits, noise_scale).expected_loss(
            lambda perm: tf.gather_nd(tf.constant(table), perm), 300_000, seed=0
        )
    np.testing.assert_allclose(tape.gradient(value, logits), known, atol=0.05)


def test_the_loss_has_its_own_gradient(rng):
    weight = tf.Variable(2.0, dtype=tf.float64)
    with tf.GradientTape() as tape:
        value = GumbelMatching(rng.normal(size=(2, 3, 3))).expected_loss(
            lambda perm: weight * tf.cast(perm[..., 0], tf.float64), 100, seed=0
        )
    assert value.shape == (2,)
    np.testing.assert_allclose(
        tape.gradient(value, weight), tf.reduce_sum(value) / 2, rtol=1e-12
    )


@pytest.mark.parametrize(
    "loss",
    [
        lambda perm: tf.reduce_mean(tf.cast(perm[:, 0], tf.float32)),
        lambda perm: tf.cast(perm[:, :1], tf.float32),
    ],
)
def test_a_loss_of_another_shape_is_refused(loss):
    with pytest.raises(
        ValueError, match="loss must return.*Received: a result of shape"
    ):
        GumbelMatching(np.eye(3)).expected_loss(loss, 5)


def test_the_scale_of_the_noise_gets_no_gradient(rng):
    scale = tf.Variable(0.7, dtype=tf.float64)
    for gradient in ("perturbed", "straight_through"):
        with tf.GradientTape() as tape:
            distribution = GumbelMatching(rng.normal(size=(3, 3)), scale)
            mean = distribution.expected_matching(9, 0, gradient)
        assert tape.gradient(mean[0, 0], scale) is None


def test_straight_through_has_the_gradient_of_the_soft_permutations(rng):
    x = tf.constant(rng.normal(size=(2, 3, 3)))
    v = rng.normal(size=(3, 3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        mean = GumbelMatching(x, 0.5).expected_matching(8, 3, "straight_through")
        hard = tf.reduce_sum(mean * v)
        soft = st.distributions.GumbelSinkhorn(x, 0.5, 0.5).sample(8, seed=3)
        soft = tf.reduce_sum(tf.reduce_mean(soft, 0) * v)
    np.testing.assert_allclose(
        tape.gradient(hard, x), tape.gradient(soft, x), atol=1e-12
    )
    np.testing.assert_allclose(
        mean, GumbelMatching(x, 0.5).expected_matching(8, 3), atol=1e-12
    )


def test_masks_and_forbidden_pairs_hold(rng):
    x = rng.normal(size=(2, 3, 4))
    x[:, 0, 1] = -np.inf
    x[0, 1] = np.nan
    row_mask = np.array([[1, 0, 1], [1, 1, 1]], bool)
    logits = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        distribution = GumbelMatching(logits, row_mask=row_mask)
        mean = distribution.expected_matching(200, seed=0)
        value = tf.reduce_sum(mean * rng.normal(size=(3, 4)))
    gradient = tape.gradient(value, logits).numpy()
    assert (mean.numpy()[:, 0, 1] == 0).all() and (mean.numpy()[0, 1] == 0).all()
    assert (gradient[:, 0, 1] == 0).all() and (gradient[0, 1] == 0).all()
    assert np.isfinite(gradient).all() and abs(gradient).max() > 0
    samples = distribution.sample(200, seed=0).numpy()
    assert (samples[:, 0, 1] == -1).all() and (samples[:, :, 0] != 1).all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graphs_give_the_same(rng, jit_compile):
    x = rng.normal(size=(3, 3)).astype(np.float32)

    def both(x):
        distribution = GumbelMatching(x)
        return distribution.sample(9, seed=0), distribution.expected_matching(9, 0)

    traced = tf.function(both, jit_compile=jit_compile)(x)
    for a, b in zip(traced, both(x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("method", ["log_prob", "entropy", "mean"])
def test_what_is_not_tractable_names_the_alternative(method):
    call = getattr(GumbelMatching(np.eye(2)), method)
    with pytest.raises(NotImplementedError, match=f"tractable {method}: "):
        call(0) if method == "log_prob" else call()


@pytest.mark.parametrize(
    "make, error",
    [
        (lambda: GumbelMatching(np.eye(2), 0.0), ValueError),
        (lambda: GumbelMatching(np.eye(2), -1.0), ValueError),
        (lambda: GumbelMatching(np.eye(2)).expected_matching(0), ValueError),
        (lambda: GumbelMatching(np.eye(2)).expected_matching(1, 0, "none"), ValueError),
        (lambda: GumbelMatching(np.eye(2)).expected_matching(1, 0, 3), TypeError),
        (
            lambda: GumbelMatching(np.eye(2)).expected_loss(lambda p: p[..., 0], 1),
            TypeError,
        ),
    ],
)
def test_errors_name_the_value_received(make, error):
    with pytest.raises(error, match="Received: "):
        make()
