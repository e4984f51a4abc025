import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kendalltau

import sinkhorn_tf as st
from pipelines import evaluation, puzzles


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
            found = perm[list(swap)]
            wrong.append((found != perm).mean())
            any_wrong.append((found != perm).any())
            tau.append(kendalltau(perm, found).statistic if n > 1 else 1.0)
    best = evaluation.oracle(
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
    level = evaluation.chance(n)
    for name, function in (
        ("proportion_wrong", st.metrics.proportion_wrong),
        ("proportion_any_wrong", st.metrics.proportion_any_wrong),
        ("kendall_tau", st.metrics.kendall_tau),
    ):
        assert level[name] == pytest.approx(
            np.mean(function(identity, perms)), abs=1e-6
        )


class Shift:
    """Scores that put every piece one place too far, or in its place."""

    def __init__(self, target, shift):
        self.target = target.reshape(*target.shape[:2], -1)
        self.shift = shift
        self.output_shape = (None, target.shape[1], target.shape[1])

    def __call__(self, pieces, training):
        flat = tf.reshape(pieces, [tf.shape(pieces)[0], pieces.shape[1], -1])
        distance = tf.reduce_sum(
            tf.abs(flat[:, :, None] - self.target[None, None, 0]), axis=3
        )
        return tf.roll(-distance, self.shift, axis=2)


def evaluate_shift(images, shift):
    dataset = puzzles.evaluation_puzzles(
        images, np.arange(len(images)), grid=2, batch_size=2
    )
    target = next(iter(dataset))["target"].numpy()
    return evaluation.evaluate(Shift(target, shift), dataset)


def test_a_perfect_solver_scores_no_error():
    images = np.tile(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1), (3, 1, 1, 1))
    scores = evaluate_shift(images, 0)
    assert scores["proportion_wrong"] == scores["proportion_any_wrong"] == 0
    assert scores["kendall_tau"] == 1
    assert scores["l1"] == scores["l2"] == 0
    assert scores["oracle"]["proportion_wrong"] == pytest.approx(0)
    assert scores["n_examples"] == 3
    assert scores["chance"] == {
        "proportion_wrong": 0.75,
        "proportion_any_wrong": 1 - 1 / 24,
        "kendall_tau": 0.0,
    }


def test_all_pieces_in_a_wrong_place_against_numpy():
    images = np.tile(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1), (3, 1, 1, 1))
    scores = evaluate_shift(images, 1)
    assert scores["proportion_wrong"] == scores["proportion_any_wrong"] == 1
    assert scores["by_content"]["proportion_wrong"] == 1
    target = puzzles.cut(tf.constant(images[:1] / 255), 2).numpy()[0]
    difference = np.roll(target, 1, axis=0) - target
    assert scores["l1"] == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert scores["l2"] == pytest.approx(math.sqrt((difference**2).mean()), rel=1e-5)


def test_equal_pieces_are_interchangeable_by_content_only():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    scores = evaluate_shift(images, 1)
    assert scores["by_content"] == {
        "proportion_wrong": 0,
        "proportion_any_wrong": 0,
        "pieces_right": 1,
        "puzzles_right": 1,
    }
    assert scores["pieces_right"] == 1 - scores["proportion_wrong"] < 1
    assert scores["oracle"]["proportion_wrong"] == pytest.approx(0.75)
    assert scores["oracle"]["proportion_any_wrong"] == pytest.approx(1 - 1 / 24)
    assert scores["l1"] == 0


def test_the_table_shows_every_score():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    text = evaluation.table(evaluate_shift(images, 1))
    for word in ("P.W.", "P.A.W.", "Kendall tau", "l1", "l2", "oracle", "4 examples"):
        assert word in text
