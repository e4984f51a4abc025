"""How well the edges of pieces continue one another, as a layer."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class EdgeFeatures(keras.layers.Layer):
    """Features of each pair of pieces: do the pixels go on from one to the other?

    For each direction (j to the right of i, to its left, below, above) the squared
    differences of the touching edges, taken as they are and extrapolated by half a
    pixel to where they meet. Their logarithms are given in relation to the mean over
    the other pieces, to the best fit that i has, and to the best fit that j has: what
    counts is whether two pieces suit each other better than they suit the others.

    Has no weights, and knows nothing of positions. Computed in float32 at least:
    differences of neighbouring pixels are lost in half precision.

    Call arguments:
        pieces: `[B, N, height, width, channels]`, values in [0, 1].

    Returns:
        `[B, N, N, 24]`, entry i, j for the pair of pieces i and j; 0 where i = j.
    """

    N_FEATURES = 24

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})

    def call(self, pieces):
        wide = pieces.dtype == tf.float64 and self.compute_dtype == "float64"
        pieces = tf.cast(pieces, tf.float64 if wide else tf.float32)
        columns = tf.transpose(pieces, [0, 1, 3, 2, 4])
        right = _continuation(columns)
        below = _continuation(pieces)
        # j is left of i if i is right of j.
        both = [right, _transposed(right), below, _transposed(below)]
        fit = tf.concat(both, axis=-1)
        n = fit.shape[1]
        self_ = tf.eye(n, dtype=fit.dtype)[:, :, None]
        others = fit * (1 - self_)
        far = fit + 1e3 * self_
        relations = (
            others - tf.reduce_sum(others, axis=2, keepdims=True) / max(n - 1, 1),
            fit - tf.reduce_min(far, axis=2, keepdims=True),
            fit - tf.reduce_min(far, axis=1, keepdims=True),
        )
        # A puzzle of one piece has no others to relate to.
        return tf.cast(tf.concat(relations, axis=-1) * (1 - self_), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        batch, n = input_shape[:2]
        return (batch, n, n, self.N_FEATURES)


def _continuation(lines):
    """Log squared differences of last lines and first lines: `[B, N, N, 2]`.

    Args:
        lines: `[B, N, line, pixel, channel]`.
    """
    depth = lines.shape[2]
    last, first = lines[:, :, -1], lines[:, :, 0]
    before, after = lines[:, :, max(depth - 2, 0)], lines[:, :, min(1, depth - 1)]
    pairs = ((last, first), (1.5 * last - 0.5 * before, 1.5 * first - 0.5 * after))
    found = [_mean_squared_differences(a, b) for a, b in pairs]
    # A hundredth of the range, squared: less is noise.
    return tf.math.log(tf.stack(found, axis=-1) + 1e-4)


def _mean_squared_differences(a, b):
    """Of all pairs: `[B, N, pixel, channel]` twice to `[B, N, N]`."""
    # Not as |a|^2 + |b|^2 - 2 a.b: what is left of that is rounding.
    difference = a[:, :, None] - b[:, None, :]
    return tf.reduce_mean(tf.square(difference), axis=[3, 4])


def _transposed(x):
    return tf.transpose(x, [0, 2, 1, 3])
