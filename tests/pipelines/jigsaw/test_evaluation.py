import math

import numpy as np
import pytest
import tensorflow as tf

from pipelines.jigsaw import evaluation
from pipelines.shared.puzzles import batches, cutting


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
    dataset = batches.evaluation_puzzles(
        images, np.arange(len(images)), grid=2, batch_size=2
    )
    target = next(iter(dataset))["target"].numpy()
    return evaluation.Evaluator(Shift(target, shift)).summary(dataset)


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
    target = cutting.cut(tf.constant(images[:1] / 255), 2).numpy()[0]
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
    # Each name is explained where it stands.
    for sentence in (
        "P.W.: proportion of wrong pieces",
        "P.A.W.: proportion of puzzles",
    ):
        assert sentence in text
    assert "another kind of processor" in text
