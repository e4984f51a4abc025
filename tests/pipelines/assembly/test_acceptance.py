import json

import numpy as np
import tensorflow as tf

from pipelines.assembly import acceptance
from pipelines.assembly.judge import Judge
from pipelines.shared.puzzles import batches


def test_acceptance_counts_pairs_of_other_digits_and_the_diagonal_apart():
    """A judge that reads the label off the first pixel, one that always says 0, and an
    assembler that writes the label there but for the digit 2."""
    labels = np.array([0, 1, 2, 2])
    images = np.zeros((4, 28, 28, 1), np.uint8)
    held_out = batches.evaluation_puzzles(images, np.arange(4), grid=1, batch_size=3)

    def read(image, training):
        return tf.one_hot(tf.cast(image[:, 0, 0, 0], tf.int32), 3)

    def always_0(image, training):
        return tf.one_hot(tf.zeros(tf.shape(image)[:1], tf.int32), 3)

    def write(pieces, digit):
        value = tf.where(digit == 2, 0, digit)
        image = tf.cast(value, tf.float32)[:, None, None, None]
        image = tf.tile(image, [1, 28, 28, 1])
        return {"hard": image, "soft": image}

    judges = [
        Judge("a", read, {"accuracy": 0.9}),
        Judge("b", always_0, {"accuracy": 0.1}),
    ]
    metrics = acceptance.measure(write, judges, held_out, labels, 3)
    # Pairs: 0 to 1 and 2, 1 to 0 and 2, twice 2 to 0 and 1. The judges accept 6 and 3.
    worst, best = metrics["judges"]
    assert (worst["name"], best["name"]) == ("b", "a")
    assert best["accuracy"] == 0.9
    assert best["hard"] == {
        "acceptance": 6 / 8,
        "same_digit": 2 / 4,
        "by_target": [1, 1, 0],
    }
    assert worst["hard"]["acceptance"] == 3 / 8
    assert worst["hard"]["by_target"] == [1, 0, 0]
    assert best["accepted_originals"] == worst["accepted_originals"] == 1 / 4
    # Over both judges.
    assert metrics["hard"]["acceptance"] == metrics["soft"]["acceptance"] == 9 / 16
    assert metrics["hard"]["same_digit"] == 3 / 8
    assert metrics["hard"]["table"] == [[1, 0.5, 0]] * 3
    # The shares by image are 1/4, 1/2, 3/4, 3/4.
    expected = np.std([1 / 4, 1 / 2, 3 / 4, 3 / 4]) / 2
    assert abs(metrics["hard"]["standard_error"] - expected) < 1e-12
    assert metrics["n_pairs"] == 8
    assert metrics["chance"]["acceptance"] == 3 / 8
    assert metrics["accepted_originals"] == 1 / 4
    # Nothing can be made of other digits where there are none.
    one = batches.evaluation_puzzles(images[:1], np.arange(1), grid=1, batch_size=3)
    alone = acceptance.measure(write, judges, one, labels[:1], 3)
    assert alone["judges"][0]["hard"]["by_target"][0] is None
    assert json.loads(json.dumps(alone, allow_nan=False)) == alone
    assert "worst first" in acceptance.table(alone)
    text = acceptance.table(metrics)
    assert "0.5625" in text
    assert text.index("b  ") < text.index("a  ")
