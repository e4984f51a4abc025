import numpy as np
import tensorflow as tf

from pipelines.assembly import acceptance
from pipelines.shared.puzzles import batches


def test_acceptance_counts_pairs_of_other_digits_and_the_diagonal_apart():
    """A judge that reads the label off the first pixel, and an assembler that writes
    it there but for the digit 2."""
    labels = np.array([0, 1, 2, 2])
    images = np.zeros((4, 28, 28, 1), np.uint8)
    held_out = batches.evaluation_puzzles(images, np.arange(4), grid=1, batch_size=3)

    def read(image, training):
        return tf.one_hot(tf.cast(image[:, 0, 0, 0], tf.int32), 3)

    def write(pieces, digit):
        value = tf.where(digit == 2, 0, digit)
        image = tf.cast(value, tf.float32)[:, None, None, None]
        image = tf.tile(image, [1, 28, 28, 1])
        return {"hard": image, "soft": image}

    metrics = acceptance.measure(write, read, held_out, labels, 3)
    # Pairs: 0 to 1 and 2, 1 to 0 and 2, twice 2 to 0 and 1.
    assert metrics["hard"]["acceptance"] == 6 / 8
    assert metrics["hard"]["same_digit"] == 2 / 4
    assert metrics["hard"]["table"] == [[1, 1, 0]] * 3
    assert metrics["n_pairs"] == 8
    assert metrics["chance"]["acceptance"] == 3 / 8
    assert metrics["accepted_originals"] == 1 / 4
    assert "0.7500" in acceptance.table(metrics)
