"""How well the edges of pieces continue one another, as a layer."""

from __future__ import annotations

import typing

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf.layers import _settings


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class EdgeFeatures(_settings.ConfiguredLayer):
    """Features of each pair of pieces: do the pixels go on from one to the other?

    For each direction (j to the right of i, to its left, below, above) the touching
    edges have a squared difference, taken of the edges as they are, and of the edges
    extrapolated by half a pixel to the line where they meet. The features are its
    logarithm in relation to the mean over the other pieces, to the best fit of i, and
    to the best fit of j: they tell whether two pieces suit each other better than they
    suit the others.

    Edges can be compared at several scales: as lines 1, 2, 4, ... pixels wide, smoothed
    along the edge over as many. The coarse scales see across a gap.

    The layer has no weights, and does not depend on positions. It computes in float32
    at least: differences of neighbouring pixels are lost in half precision.

    Args:
        scales: Number of scales, from single pixels on.

    Call arguments:
        pieces: `[B, N, height, width, channels]`, values in [0, 1].

    Returns:
        `[B, N, N, 24 * scales]`, entry i, j for the pair of pieces i and j; 0 where
        i = j.

    Raises:
        ValueError: If `scales` is below 1.

    Example:

    >>> pieces = tf.ones([1, 4, 6, 6, 3])
    >>> st.layers.EdgeFeatures(scales=2)(pieces).shape
    TensorShape([1, 4, 4, 48])
    """

    scales = _settings.Setting(_settings.to_positive_count, sets_shape=True)

    def __init__(self, scales: int = 1, **kwargs: typing.Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.scales = scales

    def call(self, pieces: TensorLike) -> tf.Tensor:
        wide = pieces.dtype == tf.float64 and self.compute_dtype == "float64"
        pieces = tf.cast(pieces, tf.float64 if wide else tf.float32)
        columns = tf.transpose(pieces, [0, 1, 3, 2, 4])
        widths = [2**scale for scale in range(self.scales)]
        right = tf.concat([_continuation(columns, w) for w in widths], axis=-1)
        below = tf.concat([_continuation(pieces, w) for w in widths], axis=-1)
        # j is left of i if i is right of j.
        both = [right, _transposed(right), below, _transposed(below)]
        fit = tf.concat(both, axis=-1)
        n = fit.shape[1]
        same = tf.eye(n, dtype=fit.dtype)[:, :, None]
        others = fit * (1 - same)
        far = fit + 1e3 * same
        relations = (
            others - tf.reduce_sum(others, axis=2, keepdims=True) / max(n - 1, 1),
            fit - tf.reduce_min(far, axis=2, keepdims=True),
            fit - tf.reduce_min(far, axis=1, keepdims=True),
        )
        # A puzzle of one piece has no others to relate to.
        return tf.cast(tf.concat(relations, axis=-1) * (1 - same), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, n = input_shape[:2]
        return (batch, n, n, 24 * self.scales)

    def get_config(self) -> dict[str, typing.Any]:
        return {**super().get_config(), "scales": self.scales}


def _continuation(lines, width):
    """Log squared differences of last lines and first lines: `[B, N, N, 2]`.

    Args:
        lines: `[B, N, line, pixel, channel]`.
        width: How many lines count as one, and how many pixels of a line.
    """
    if width > 1:
        lines = _pooled(lines, width)
    depth = lines.shape[2]
    last, first = lines[:, :, -1], lines[:, :, 0]
    before, after = lines[:, :, max(depth - 2, 0)], lines[:, :, min(1, depth - 1)]
    pairs = ((last, first), (1.5 * last - 0.5 * before, 1.5 * first - 0.5 * after))
    differences = [_mean_squared_differences(a, b) for a, b in pairs]
    # Below a hundredth of the range, squared, a difference is noise.
    return tf.math.log(tf.stack(differences, axis=-1) + 1e-4)


def _pooled(lines, width):
    """Means over blocks of the outermost lines: two of `width` on either side."""
    _, n, depth, length, channels = lines.shape
    width = min(width, max(depth // 2, 1), length)
    ends = tf.concat([lines[:, :, : 2 * width], lines[:, :, -2 * width :]], axis=2)
    flat = tf.reshape(ends, [-1, ends.shape[2], length, channels])
    # A block at the end of a line may be smaller: it is the mean of the pixels there.
    flat = tf.nn.avg_pool2d(flat, [width, width], [width, width], "SAME")
    return tf.reshape(flat, [-1, n, *flat.shape[1:]])


def _mean_squared_differences(a, b):
    """The means for all pairs of two `[B, N, pixel, channel]`: `[B, N, N]`."""
    # The expansion |a|^2 + |b|^2 - 2 a.b would lose all digits to rounding.
    difference = a[:, :, None] - b[:, None, :]
    return tf.reduce_mean(tf.square(difference), axis=[3, 4])


def _transposed(x):
    return tf.transpose(x, [0, 2, 1, 3])
