"""Rectangles and masks, as matrices that need each of their rows placed.

The stages of the matching place every existing row in a column of its own. So an example
with more rows than columns is transposed, and what does not exist is forbidden.
"""

import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import batching


class Existing(typing.NamedTuple):
    """What exists of matrices `[B, N, M]` that have no more rows than columns.

    All other pairs are forbidden, and no example has more rows than columns that exist.
    """

    rows: tf.Tensor
    """bool `[B, N]`."""
    cols: tf.Tensor
    """bool `[B, M]`."""
    more_cols: tf.Tensor
    """bool `[B]`, whether more columns exist than rows; the others are squares."""


def orient(x, row_mask, col_mask):
    """Turns examples so that the side to be placed whole is that of the rows.

    Args:
        x: float64 `[B, N, M]`.
        row_mask, col_mask: bool `[B, N]` and `[B, M]`, or None.

    Returns:
        `(x, existing, place_back)`: `[B, min(N, M), max(N, M)]`, `-inf` where a row or a
        column does not exist; the `Existing`, or None if each matrix is known to be
        a whole square; and a function that takes the columns of its rows, `[B, min(N,
        M)]`, to those of the original rows, `[B, N]`, -1 where there is none. It takes
        several matchings of the whole batch too, one after the other: `[k * B, ...]`.
    """
    n, m = x.shape[1:]
    if n is not None and n == m and row_mask is None and col_mask is None:
        return x, None, _unchanged
    x = _forbid_missing(x, row_mask, col_mask)
    if n is None or m is None:
        return _orient_each(x, row_mask, col_mask)
    if n <= m and col_mask is None:
        return x, _existing(x, row_mask, col_mask), _unchanged
    if n >= m and row_mask is None:
        x = tf.transpose(x, [0, 2, 1])
        return x, _existing(x, col_mask, row_mask), lambda perm: invert(perm, n)
    return _orient_each(x, row_mask, col_mask)


def invert(perm, size):
    """The item in each of `size` positions, or -1: int32 `[B, N]` -> `[B, size]`."""
    index = tf.range(tf.shape(perm)[1])[:, None]
    # The operator `==` gives a result of unknown rank where sizes are unknown.
    holds = tf.equal(perm[:, :, None], tf.range(size))
    return tf.reduce_max(tf.where(holds, index, -1), axis=1)


def _unchanged(perm):
    return perm


def _forbid_missing(x, row_mask, col_mask):
    """`-inf` instead of anything, NaN included, in what does not exist."""
    forbidden = tf.constant(-math.inf, x.dtype)
    if row_mask is not None:
        x = tf.where(row_mask[:, :, None], x, forbidden)
    if col_mask is not None:
        x = tf.where(col_mask[:, None, :], x, forbidden)
    return x


def _existing(x, row_mask, col_mask):
    rows = tf.ones_like(x[:, :, 0], tf.bool) if row_mask is None else row_mask
    cols = tf.ones_like(x[:, 0, :], tf.bool) if col_mask is None else col_mask
    return Existing(rows, cols, _count(rows) < _count(cols))


def _count(mask):
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)


def _orient_each(x, row_mask, col_mask):
    """`orient` where only the values tell which side of an example is the longer one."""
    n, m = batching.sizes(x, 1)
    known = isinstance(n, int) and isinstance(m, int)
    shorter = min(n, m) if known else tf.minimum(n, m)
    longer = max(n, m) if known else tf.maximum(n, m)
    rows, cols, _ = _existing(x, row_mask, col_mask)
    turned = _count(rows) > _count(cols)
    # The rows of the result are those that exist, and as many others as there is room.
    upright, row_order = _first_existing(x, row_mask, shorter)
    transposed = tf.transpose(x, [0, 2, 1])
    on_its_side, col_order = _first_existing(transposed, col_mask, shorter)
    x = batching.where(
        turned,
        _widen(on_its_side, longer, -math.inf),
        _widen(upright, longer, -math.inf),
    )
    count = tf.minimum(_count(rows), _count(cols))
    existing = Existing(
        tf.range(shorter) < count[:, None],
        batching.where(
            turned, _widen(rows, longer, False), _widen(cols, longer, False)
        ),
        tf.not_equal(_count(rows), _count(cols)),
    )

    def place_back(perm):
        repeats = tf.shape(perm)[0] // tf.maximum(tf.shape(turned)[0], 1)
        return batching.where(
            tf.tile(turned, [repeats]),
            _take(tf.tile(col_order, [repeats, 1]), invert(perm, n)),
            _take(perm, invert(tf.tile(row_order, [repeats, 1]), n)),
        )

    return x, existing, place_back


def _first_existing(x, mask, count):
    """The first `count` rows, after the existing ones came first, and their indices."""
    if mask is None:
        order = tf.zeros_like(x[:, :count, 0], tf.int32) + tf.range(count)
        return x[:, :count], order
    order = tf.argsort(tf.cast(~mask, tf.int32), axis=1, stable=True)[:, :count]
    return tf.gather(x, order, batch_dims=1), order


def _widen(x, size, value):
    """`[B, ..., M]` with as many columns of the value as make `size`."""
    missing = size - batching.static_or_dynamic(x, -1)
    paddings = [[0, 0]] * (x.shape.rank - 1) + [[0, missing]]
    return tf.pad(x, paddings, constant_values=value)


def _take(values, index):
    """`values[b, index[b, i]]`, or -1 where the index is -1."""
    taken = tf.gather(values, tf.maximum(index, 0), batch_dims=1)
    return tf.where(index < 0, -1, taken)
