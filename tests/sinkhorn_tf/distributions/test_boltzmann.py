import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.distributions import enumeration
from tests.sinkhorn_tf.distributions.enumeration import reference

Boltzmann = st.distributions.BoltzmannPermutations

SHAPES = [(1, 1), (2, 2), (3, 3), (4, 4), (6, 6), (2, 4), (5, 3), (1, 3)]


@pytest.mark.parametrize("n, m", SHAPES)
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_everything_is_that_of_enumeration(rng, n, m, temperature):
    x = rng.normal(size=(3, n, m))
    distribution = Boltzmann(x, temperature)
    lists = enumeration.matchings(n, m)
    log_p = distribution.log_prob(lists[:, None]).numpy()
    assert log_p.shape == (len(lists), 3)
    for k in range(3):
        log_z, log_probs, marginals, entropy = reference(x[k] / temperature, lists)
        np.testing.assert_allclose(distribution.log_partition()[k], log_z, rtol=1e-10)
        np.testing.assert_allclose(log_p[:, k], log_probs, atol=1e-10)
        np.testing.assert_allclose(distribution.marginals()[k], marginals, atol=1e-10)
        np.testing.assert_allclose(distribution.entropy()[k], entropy, atol=1e-10)
    np.testing.assert_array_equal(distribution.mean(), distribution.marginals())


@pytest.mark.parametrize("n, m", [(4, 4), (3, 5), (5, 3)])
def test_masks_mean_the_submatrix(rng, n, m):
    x = rng.normal(size=(6, n, m))
    row_mask, col_mask = rng.random((6, n)) < 0.6, rng.random((6, m)) < 0.6
    x = np.where(row_mask[:, :, None] & col_mask[:, None], x, np.nan)
    distribution = Boltzmann(x, row_mask=row_mask, col_mask=col_mask)
    marginals = distribution.marginals().numpy()
    samples = distribution.sample(50, seed=0).numpy()
    for k in range(6):
        lists = enumeration.submatrix_matchings(row_mask[k], col_mask[k])
        log_z, log_probs, mean, entropy = reference(np.nan_to_num(x[k]), lists)
        np.testing.assert_allclose(distribution.log_partition()[k], log_z, atol=1e-10)
        np.testing.assert_allclose(marginals[k], mean, atol=1e-10)
        np.testing.assert_allclose(distribution.entropy()[k], entropy, atol=1e-10)
        alone = Boltzmann(x[k], row_mask=row_mask[k], col_mask=col_mask[k])
        np.testing.assert_allclose(alone.log_prob(lists), log_probs, atol=1e-10)
        known = {tuple(row) for row in lists.tolist()}
        assert {tuple(row) for row in samples[:, k].tolist()} <= known


def test_forbidden_pairs_have_no_probability(rng):
    x = rng.normal(size=(5, 5))
    x[rng.random((5, 5)) < 0.4] = -np.inf
    x[np.arange(5), [1, 0, 3, 4, 2]] = 0.5
    lists = enumeration.matchings(5, 5)
    log_z, log_probs, marginals, entropy = reference(x, lists)
    distribution = Boltzmann(x)
    np.testing.assert_allclose(distribution.log_partition(), log_z, atol=1e-10)
    np.testing.assert_allclose(distribution.log_prob(lists), log_probs, atol=1e-10)
    np.testing.assert_allclose(distribution.marginals(), marginals, atol=1e-10)
    np.testing.assert_allclose(distribution.entropy(), entropy, atol=1e-10)
    samples = distribution.sample(500, seed=1)
    assert np.isfinite(distribution.log_prob(samples)).all()


def test_the_gradient_of_the_log_partition_is_the_marginals():
    temperature = tf.constant([0.7, 2.0], tf.float64)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 4)))
    with tf.GradientTape() as tape:
        tape.watch([x, temperature])
        distribution = Boltzmann(x, temperature)
        value = distribution.log_partition()
    to_x, to_t = tape.gradient(value, [x, temperature])
    marginals = distribution.marginals()
    np.testing.assert_allclose(to_x, marginals / temperature[:, None, None], atol=1e-12)
    energy = tf.reduce_sum(marginals * x, [1, 2])
    np.testing.assert_allclose(to_t, -energy / temperature**2, atol=1e-12)


def test_entropy_and_marginals_have_gradients(rng):
    x = tf.constant(rng.normal(size=(3, 3)))
    direction = rng.normal(size=(3, 3))
    weights = rng.normal(size=(3, 3))

    def value(x):
        distribution = Boltzmann(x, 0.8)
        return distribution.entropy() + tf.reduce_sum(
            distribution.marginals() * weights
        )

    with tf.GradientTape() as tape:
        tape.watch(x)
        result = value(x)
    slope = tf.reduce_sum(tape.gradient(result, x) * direction)
    h = 1e-5
    central = (value(x + h * direction) - value(x - h * direction)) / (2 * h)
    np.testing.assert_allclose(slope, central, rtol=1e-6)


@pytest.mark.parametrize("temperature", [1e-3, 1e-6])
def test_low_temperatures_neither_overflow_nor_vanish(rng, temperature):
    x = 100 * rng.normal(size=(4, 8, 8))
    distribution = Boltzmann(x, temperature)
    best = distribution.mode()
    value = np.take_along_axis(x, best.numpy()[..., None], 2).sum((1, 2))
    np.testing.assert_allclose(distribution.log_partition(), value / temperature)
    np.testing.assert_allclose(distribution.log_prob(best), 0, atol=1e-5)
    np.testing.assert_array_equal(distribution.sample(seed=0), best)


@pytest.mark.parametrize("n, m", [(4, 4), (2, 4), (4, 2)])
def test_samples_follow_the_distribution(rng, n, m):
    x = rng.normal(size=(n, m))
    lists = enumeration.matchings(n, m)
    _, log_probs, _, _ = reference(x, lists)
    count = 20_000
    samples = Boltzmann(x).sample(count, seed=3).numpy()
    number = {tuple(row): k for k, row in enumerate(lists.tolist())}
    observed = np.bincount(
        [number[tuple(s)] for s in samples.tolist()], None, len(lists)
    )
    assert scipy.stats.chisquare(observed, count * np.exp(log_probs)).pvalue > 1e-3


def test_samples_depend_on_the_seed_alone(rng):
    x = rng.normal(size=(3, 4, 4)).astype(np.float32)
    sample = lambda seed: Boltzmann(x).sample((2, 5), seed=seed).numpy()
    assert sample(1).shape == (2, 5, 3, 4) and sample(1).dtype == np.int32
    np.testing.assert_array_equal(sample(1), sample(1))
    assert (sample(1) != sample(2)).any()
    for jit_compile in (False, True):
        traced = tf.function(
            lambda: Boltzmann(x).sample((2, 5), 1), jit_compile=jit_compile
        )
        np.testing.assert_array_equal(traced(), sample(1))


def test_temperatures_may_have_more_batch_dimensions(rng):
    x = rng.normal(size=(3, 3))
    t = np.array([[0.5], [2]])
    distribution = Boltzmann(x, t)
    assert distribution.batch_shape() == [2, 1]
    assert distribution.sample(4, seed=0).shape == (4, 2, 1, 3)
    for k in range(2):
        np.testing.assert_allclose(
            distribution.log_partition()[k, 0], Boltzmann(x, t[k, 0]).log_partition()
        )


def test_lists_that_are_no_matching_have_no_probability():
    distribution = Boltzmann(np.zeros((3, 3)))
    bad = [[0, 0, 1], [0, 1, -1], [0, 1, 3], [-1, -1, -1]]
    assert np.isneginf(distribution.log_prob(bad)).all()
    np.testing.assert_allclose(distribution.log_prob([2, 0, 1]), -np.log(6))


def test_bad_examples_of_a_graph_leave_their_neighbours_alone(rng):
    x = rng.normal(size=(4, 3, 3))
    good = Boltzmann(x)
    bad = x.copy()
    bad[1, 0, 0] = np.nan
    bad[2, 0] = -np.inf

    @tf.function(input_signature=[tf.TensorSpec([None, 3, 3], tf.float64)])
    def all_of_it(x):
        distribution = Boltzmann(x)
        return (
            distribution.log_partition(),
            distribution.marginals(),
            distribution.entropy(),
            distribution.log_partition_bethe(),
            distribution.sample(7, seed=0),
            distribution.sample_metropolis(7, seed=0),
            distribution.mode(),
        )

    for of_good, of_bad in zip(all_of_it(x), all_of_it(bad), strict=True):
        of_good, of_bad = of_good.numpy(), of_bad.numpy()
        axis = 1 if of_good.ndim == 3 and of_good.shape[0] == 7 else 0
        of_good, of_bad = (np.moveaxis(a, axis, 0) for a in (of_good, of_bad))
        np.testing.assert_array_equal(of_good[[0, 3]], of_bad[[0, 3]])
        if of_bad.dtype == np.int32:
            assert (of_bad[[1, 2]] == -1).all()
        else:
            assert np.isnan(of_bad[1]).all()
            assert not np.isfinite(of_bad[2]).any()
    np.testing.assert_allclose(all_of_it(x)[0], good.log_partition())


@pytest.mark.parametrize("spread, temperature", [(1, 1e-3), (100, 1.0)])
@pytest.mark.parametrize("n, m", [(3, 3), (2, 4), (4, 3)])
def test_masks_at_low_temperatures(rng, n, m, spread, temperature):
    x = spread * rng.normal(size=(8, n, m)) - 10 * spread
    row_mask, col_mask = np.ones((8, n), bool), np.ones((8, m), bool)
    row_mask[:, -1] = col_mask[::2, 0] = col_mask[1, 1] = False
    distribution = Boltzmann(x, temperature, row_mask=row_mask, col_mask=col_mask)
    samples = distribution.sample(20, seed=0)
    assert np.isfinite(distribution.log_prob(samples)).all()
    exact, bethe = distribution.log_partition(), distribution.log_partition_bethe()
    for k in range(8):
        lists = enumeration.submatrix_matchings(row_mask[k], col_mask[k])
        log_z, _, mean, _ = reference(x[k] / temperature, lists)
        np.testing.assert_allclose(exact[k], log_z, rtol=1e-10)
        np.testing.assert_allclose(distribution.marginals()[k], mean, atol=1e-8)
        assert bethe[k] <= log_z + 1e-9 * abs(log_z)


def test_bad_examples_leave_derivatives_of_what_is_shared_alone(rng):
    x = rng.normal(size=(3, 3, 3))
    x[1, 0, 0], x[2, 0] = np.nan, -np.inf

    @tf.function
    def slopes(x):
        t = tf.constant(0.7, tf.float64)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(t)
            distribution = Boltzmann(x, t)
            mixture = st.distributions.GumbelSinkhorn(x, t).sample_mixture(5, seed=0)
            values = [
                distribution.log_partition(),
                distribution.entropy(),
                distribution.log_prob([0, 1, 2]),
                distribution.log_partition_bethe(),
                mixture.divergence,
            ]
            good = [tf.reduce_sum(value[:1]) for value in values]
        return values, [tape.gradient(value, t) for value in good]

    values, derivatives = slopes(x)
    for value, derivative in zip(values, derivatives, strict=True):
        assert np.isfinite(value[0]) and not np.isfinite(value[1:]).any()
        assert np.isfinite(derivative) and derivative != 0


def test_a_bad_temperature_of_a_graph_gives_no_answer():
    @tf.function(input_signature=[tf.TensorSpec([], tf.float64)])
    def function(t):
        distribution = Boltzmann(np.eye(3), t)
        return (
            distribution.sample(2, seed=0),
            distribution.sample_metropolis(2, seed=0),
            distribution.log_partition(),
        )

    samples, chains, value = function(-1.0)
    assert (samples == -1).numpy().all() and (chains == -1).numpy().all()
    assert np.isnan(value)


def test_temperatures_of_unknown_rank_are_refused():
    @tf.function(input_signature=[tf.TensorSpec(None, tf.float64)])
    def function(t):
        return Boltzmann(np.eye(3), t).log_partition()

    with pytest.raises(ValueError, match="Received: temperature of unknown rank"):
        function(1.0)


def test_no_samples():
    distribution = Boltzmann(np.zeros((2, 3, 4)))
    for method in (distribution.sample, distribution.sample_metropolis):
        assert method((5, 0), seed=0).shape == (5, 0, 2, 3)
    matchings = st.distributions.GumbelMatching(np.zeros((2, 3, 4)))
    assert matchings.sample(0, seed=0).shape == (0, 2, 3)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_dtype_is_kept(rng, name):
    distribution = Boltzmann(tf.cast(rng.normal(size=(2, 3, 3)), name), 0.5)
    results = (
        distribution.log_partition(),
        distribution.marginals(),
        distribution.entropy(),
        distribution.log_prob([0, 1, 2]),
        distribution.log_partition_bethe(),
        distribution.marginals_bethe(),
    )
    assert all(result.dtype == name for result in results)


def test_shapes_are_known_without_the_batch():
    @tf.function(input_signature=[tf.TensorSpec([None, 3, 5])])
    def function(x):
        distribution = Boltzmann(x)
        assert distribution.batch_shape().as_list() == [None]
        assert distribution.event_shape().as_list() == [3]
        return distribution.sample((2,), seed=0), distribution.marginals()

    @tf.function
    def of_a_shape(count):
        return Boltzmann(np.zeros((3, 5))).sample((count, 2), seed=0)

    assert of_a_shape(tf.constant(4)).shape == (4, 2, 3)
    sample, marginals = function.get_concrete_function().outputs
    assert sample.shape.as_list() == [2, None, 3]
    assert marginals.shape.as_list() == [None, 3, 5]


@pytest.mark.parametrize(
    "method, alternative",
    [
        ("log_partition", "log_partition_bethe"),
        ("marginals", "marginals_bethe"),
        ("entropy", "log_partition_bethe"),
        ("sample", "sample_metropolis"),
    ],
)
def test_what_is_too_large_names_the_alternative(method, alternative):
    distribution = Boltzmann(np.zeros((17, 17)))
    with pytest.raises(ValueError, match=f"{alternative}.*Received: logits.shape"):
        getattr(distribution, method)()
    with pytest.raises(ValueError, match="log_partition_bethe"):
        distribution.log_prob(np.arange(17))


def test_few_items_among_many_positions_are_exact(rng):
    x = rng.normal(size=(2, 30))
    log_z, _, marginals, _ = reference(x, enumeration.matchings(2, 30))
    np.testing.assert_allclose(Boltzmann(x).log_partition(), log_z, rtol=1e-10)
    np.testing.assert_allclose(Boltzmann(x).marginals(), marginals, atol=1e-10)


@pytest.mark.parametrize(
    "logits, message",
    [
        (np.full((2, 2), np.nan), "4 entries of NaN"),
        ([[np.inf, 0.0], [0.0, 0.0]], "1 entries of NaN or \\+inf"),
        ([[[0.0, 1], [1, 0]], [[-np.inf, 1], [-np.inf, 0]]], "1 of 2 examples"),
    ],
)
def test_bad_logits_that_are_known_are_refused(logits, message):
    for kind in (
        st.distributions.GumbelSinkhorn,
        st.distributions.GumbelMatching,
        Boltzmann,
    ):
        with pytest.raises(ValueError, match=f"Received: .*{message}"):
            kind(logits)


@pytest.mark.parametrize(
    "make, error",
    [
        (lambda: Boltzmann(np.zeros((2, 2), int)), TypeError),
        (lambda: Boltzmann(np.zeros(3)), ValueError),
        (lambda: Boltzmann(np.zeros((2, 2)), 0.0), ValueError),
        (lambda: Boltzmann(np.zeros((2, 2, 2)), np.ones(3)), ValueError),
        (lambda: Boltzmann(np.zeros((2, 2))).log_prob([0.0, 1.0]), TypeError),
        (lambda: Boltzmann(np.zeros((2, 2))).log_prob([0, 1, 2]), ValueError),
        (lambda: Boltzmann(np.zeros((2, 2))).sample(-1, seed=0), ValueError),
        (lambda: Boltzmann(np.zeros((2, 2))).sample(1.5, seed=0), TypeError),
        (lambda: Boltzmann(np.zeros((2, 2))).sample_metropolis(n_steps=-1), ValueError),
        (lambda: Boltzmann(np.zeros((2, 2))).log_partition_bethe(1.5), TypeError),
    ],
)
def test_errors_name_the_value_received(make, error):
    with pytest.raises(error, match="Received: "):
        make()
