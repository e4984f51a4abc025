import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kendalltau

import sinkhorn_tf as st
from pipelines.shared import baselines


def same_pieces(classes):
    return tf.constant(classes[:, :, None] == classes[:, None, :])


@pytest.mark.parametrize(
    "classes", [[0, 1, 2, 3], [0, 0, 1, 2], [0, 0, 1, 1], [0, 0, 0, 0, 1], [0], [1, 1]]
)
def test_oracle_equals_the_mean_over_all_ways_to_place_equal_items(classes):
    classes = np.array(classes)
    n = len(classes)
    perm = np.random.default_rng(n).permutation(n)
    wrong, any_wrong, tau = [], [], []
    for swap in itertools.permutations(range(n)):
        if (classes[list(swap)] == classes).all():
            guess = perm[list(swap)]
            wrong.append((guess != perm).mean())
            any_wrong.append((guess != perm).any())
            tau.append(kendalltau(perm, guess).statistic if n > 1 else 1.0)
    best = baselines.oracle(
        tf.constant(perm[None].astype(np.int32)), same_pieces(classes[None])
    )
    assert best["proportion_wrong"].numpy()[0] == pytest.approx(np.mean(wrong))
    assert best["proportion_any_wrong"].numpy()[0] == pytest.approx(np.mean(any_wrong))
    assert best["kendall_tau"].numpy()[0] == pytest.approx(np.mean(tau))


@pytest.mark.parametrize("n", [1, 3])
def test_chance_equals_the_mean_over_all_permutations(n):
    perms = list(itertools.permutations(range(n)))
    identity = np.tile(np.arange(n, dtype=np.int32), (len(perms), 1))
    perms = np.array(perms, np.int32)
    level = baselines.chance(n)
    for name, function in (
        ("proportion_wrong", st.metrics.proportion_wrong),
        ("proportion_any_wrong", st.metrics.proportion_any_wrong),
        ("kendall_tau", st.metrics.kendall_tau),
    ):
        assert level[name] == pytest.approx(
            np.mean(function(identity, perms)), abs=1e-6
        )
