"""Sizes of eager calls that share a compilation.

XLA compiles a function anew for every shape, which takes as long as thousands of small
calls. So an eager call of a size that few have is one of the next common size: what is
added forms a block of its own, which no iteration mixes with the rest, or does not exist.
Only the shape decides, so that the same call always gives the same bits.
"""

import math

import numpy as np
import tensorflow as tf

# Up to this N all matrices are padded: a call takes a millisecond or two, compiling it one
# to four seconds on one core. Beyond it whole squares are, as the next common size is close.
_MAX_SMALL_N = 25
# Beyond this N every size is compiled by itself: the work that padding adds costs more.
_MAX_N = 256


def _common_sizes():
    # The pieces of square puzzles, and powers of two.
    squares = {k * k for k in range(2, math.isqrt(_MAX_N) + 1)}
    powers = {2**k for k in range(5, _MAX_N.bit_length())}
    return sorted(squares | powers)


_COMMON_SIZES = np.array(_common_sizes())


def common_size(n):
    """The smallest common size that is at least N, or N beyond all of them."""
    return n if n > _MAX_N else int(_COMMON_SIZES[_COMMON_SIZES.searchsorted(n)])


def pad(logits, row_mask=None, col_mask=None, blocks=True):
    """Pads matrices to a common size, whose answers are those of the matrices.

    Args:
        logits: `[..., N, M]`; floating point if there may be a block.
        row_mask, col_mask: bool `[..., N]` and `[..., M]`, or None.
        blocks: Whether what is added to a whole square may form a block of its own,
            which takes less time than masks.

    Returns:
        `(logits, row_mask, col_mask)`: `[..., N', M']`, `[..., N']` and `[..., M']`. Where
        masks are None as before, the rest is a block: 0 on the diagonal, and `-inf` with
        all others. Otherwise masks leave out what was added.
    """
    n, m = logits.shape[-2:]
    is_whole = n == m and row_mask is None and col_mask is None
    if not is_whole and max(n, m) > _MAX_SMALL_N:
        return logits, row_mask, col_mask
    rows, cols = common_size(n), common_size(m)
    if (rows, cols) == (n, m):
        return logits, row_mask, col_mask
    if is_whole and blocks:
        return _with_block(logits, rows), None, None
    logits = tf.pad(logits, _paddings(logits, (rows - n, cols - m)))
    return logits, _mask(row_mask, n, rows), _mask(col_mask, m, cols)


def pad_vectors(values, mask=None):
    """Pads `[..., N]` to a common size, with a mask that leaves out what was added.

    Returns:
        `(values, mask)`: `[..., N']` and bool `[..., N']`, or those given.
    """
    n = values.shape[-1]
    size = common_size(n)
    if size == n:
        return values, mask
    return pad_members(values, size), _mask(mask, n, size)


def pad_members(values, size):
    """Values of members `[..., N]`, or None, and 0 or False for those that were added."""
    if values is None or values.shape[-1] == size:
        return values
    return tf.pad(values, _paddings(values, (size - values.shape[-1],)))


def _with_block(matrices, size):
    n = matrices.shape[-1]
    outside = tf.constant(-math.inf, matrices.dtype)
    added = (size - n, size - n)
    padded = tf.pad(matrices, _paddings(matrices, added), constant_values=outside)
    index = np.arange(size)
    own = (index[:, None] == index) & (index >= n)
    return tf.where(own, tf.zeros([], matrices.dtype), padded)


def _mask(mask, n, size):
    return tf.range(size) < n if mask is None else pad_members(mask, size)


def _paddings(tensor, added):
    """The argument of `tf.pad` that adds to the ends of the last axes."""
    others = [(0, 0)] * (tensor.shape.rank - len(added))
    return [*others, *((0, number) for number in added)]
