"""The layer of matchings."""

import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from tests.sinkhorn_tf.layers.references import hard_matrices

N = 4


def test_matching_gives_matrices_without_a_gradient(rng):
    x = rng.normal(size=(4, N, N)).astype(np.float32)
    x[1, 0, 0] = np.nan
    logits = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        matrix = st.Matching()(logits)
        loss = tf.reduce_sum(matrix) + tf.reduce_sum(0 * logits[0])
    clean = [0, 2, 3]
    np.testing.assert_array_equal(matrix.numpy()[clean], hard_matrices(x[clean]))
    assert (matrix.numpy()[1] == 0).all()
    assert (tape.gradient(loss, logits).numpy() == 0).all()


def test_matching_is_not_rounded_by_mixed_precision():
    x = np.float32([[[1.0, 1.0001], [1.0, 1.0]], [[1.0001, 1.0], [1.0, 1.0]]])
    matrix = st.Matching(dtype="mixed_float16")(x)
    np.testing.assert_array_equal(matrix, [[[0, 1], [1, 0]], [[1, 0], [0, 1]]])
