import numpy as np
import pytest
import scipy.stats

import sinkhorn_tf as st
from pipelines.latent_matching import problems


def test_log_likelihoods_are_those_of_gaussian_noise():
    scores = problems.log_likelihoods(3, 4, 0.5, seed=1)
    assert scores.shape == (3, 4, 4) and (scores <= 0).all()
    # The best order explains each observation by noise of about sigma.
    best = np.take_along_axis(scores, st.matching(scores).numpy()[..., None], 2)
    assert 0.2 < -best.mean() < 2
    np.testing.assert_array_equal(scores, problems.log_likelihoods(3, 4, 0.5, seed=1))
    assert (scores != problems.log_likelihoods(3, 4, 0.5, seed=2)).any()


def test_every_order_is_as_likely():
    scores = problems.log_likelihoods(4000, 3, 0.01, seed=0)
    orders = problems.ranks(st.matching(scores).numpy())
    counts = np.bincount(orders, None, 6)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_the_posterior_is_that_of_the_dynamic_program():
    scores = problems.log_likelihoods(5, 4, 0.7, seed=0)
    exact = st.distributions.BoltzmannPermutations(scores.astype(np.float64))
    lists = problems.permutations(4)
    log_probs = exact.log_prob(lists[:, None]).numpy().T
    np.testing.assert_allclose(problems.posterior(scores), np.exp(log_probs), atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_ranks_number_the_permutations(n):
    lists = problems.permutations(n)
    np.testing.assert_array_equal(problems.ranks(lists), np.arange(len(lists)))


def test_distances():
    p = np.array([[0.5, 0.5, 0], [1, 0, 0]])
    q = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(problems.distance(p, q), [0, 1])


def test_mallows_is_largest_at_the_mode():
    exact = problems.posterior(problems.log_likelihoods(5, 4, 0.5, seed=0))
    mallows = problems.mallows(exact, 2.0)
    np.testing.assert_allclose(mallows.sum(1), 1)
    np.testing.assert_array_equal(mallows.argmax(1), exact.argmax(1))
    # Two neighbours that are swapped are at a distance of 2.
    mode = problems.permutations(4)[exact[0].argmax()]
    swapped = mode.copy()
    first, second = (int(np.flatnonzero(mode == k)[0]) for k in (0, 1))
    swapped[[first, second]] = 1, 0
    ratio = mallows[0, problems.ranks(swapped)] / mallows[0].max()
    np.testing.assert_allclose(ratio, np.exp(-4))


def test_independent_rows_lose_mass():
    rows = problems.independent_rows(np.full((1, 3, 3), 1 / 3))
    np.testing.assert_allclose(rows, np.full((1, 6), 1 / 27))
