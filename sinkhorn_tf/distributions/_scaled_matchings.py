"""Weights of matchings, scaled so that the best one has the weight 1.

With optimal duals, :math:`f_i + g_j \\ge X_{ij}` with equality on the best matching, every
weight :math:`\\exp((X_{ij} - f_i - g_j) / t)` is at most 1. So sums over matchings neither
overflow nor vanish at any temperature, without logarithms on the way: their derivatives
are those of polynomials.
"""

import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf._matching.augmenting_paths import assign
from sinkhorn_tf._matching.rectangular import invert, orient


class ScaledMatchings(typing.NamedTuple):
    """A batch of problems `[B, N, M]`, N <= M, each of whose rows is placed.

    Rows that do not exist are dummies, as are M - N more: each may take any column at
    the logit 0, and which dummy takes which is no difference.
    """

    reduced: tf.Tensor
    """float64 `[B, N, M]`, (X - f - g) / t: 0 at best, `-inf` where a pair is forbidden."""
    last: tf.Tensor
    """float64 `[B, M]`, the same for each of the M - N other dummies."""
    log_scale: tf.Tensor
    """float64 `[B]`, the logarithm of what the weight of a matching was divided by."""
    log_orders: tf.Tensor
    """float64 `[B]`, the logarithm of the number of ways to place all dummies."""
    perm: tf.Tensor
    """int32 `[B, N]`, the best matching: a column for each row that exists."""
    is_valid: tf.Tensor
    """bool `[B]`, whether there is no NaN nor +inf."""
    has_matching: tf.Tensor
    """bool `[B]`."""
    place_back: typing.Callable
    """Function of columns `[k * B, N]`, -1 for dummies, to those of the items given."""
    rows: tf.Tensor | None
    """bool `[B, N]`, which rows exist; None for all."""


def scale(x, temperature, row_mask, col_mask):
    """Scales problems.

    Args:
        x: float64 `[B, N, M]` with known N and M.
        temperature: float64 `[B]`.
        row_mask, col_mask: bool `[B, N]`, `[B, M]`, or None.

    Returns:
        The `ScaledMatchings`.
    """
    n, m = sorted(x.shape[1:])
    x, existing, place_back = orient(x, row_mask, col_mask)
    x = tf.ensure_shape(x, [None, n, m])
    rows = None if existing is None else existing.rows
    is_valid = ~batching.find_invalid(x) & tf.math.is_finite(temperature)
    temperature = tf.where(is_valid, temperature, tf.ones_like(temperature))
    x = batching.where(is_valid, x, tf.zeros_like(x))
    allowed = x > -math.inf
    perm, g = assign(tf.stop_gradient(x), existing=existing)
    placed = perm >= 0
    has_matching = tf.reduce_all(placed if rows is None else placed | ~rows, axis=1)
    g = tf.stop_gradient(batching.where(has_matching, g, tf.zeros_like(g)))
    if existing is not None:
        # Those of a square may be negative, and a dummy there would outweigh everything.
        least = tf.minimum(tf.reduce_min(g, axis=1, keepdims=True), 0)
        g = tf.where(existing.cols, g - least, g)
    f = tf.stop_gradient(tf.reduce_max(x - g[:, None], axis=2))
    f = tf.where(f > -math.inf, f, 0)
    # A forbidden pair must not reach the derivatives.
    t = temperature[:, None, None]
    reduced = (tf.where(allowed, x, 0) - f[:, :, None] - g[:, None]) / t
    reduced = tf.where(allowed, reduced, -math.inf)
    last = -g / temperature[:, None]
    if rows is not None:
        f = tf.where(rows, f, 0)
        reduced = tf.where(rows[:, :, None], reduced, last[:, None])
    log_scale = (tf.reduce_sum(f, 1) + tf.reduce_sum(g, 1)) / temperature
    count = tf.fill(tf.shape(temperature), tf.constant(n, tf.float64))
    if rows is not None:
        count = tf.reduce_sum(tf.cast(rows, tf.float64), axis=1)
    log_orders = tf.math.lgamma(m - count + 1)
    return ScaledMatchings(
        reduced,
        last,
        log_scale,
        log_orders,
        perm,
        is_valid,
        has_matching,
        place_back,
        rows,
    )


def squares(problems):
    """The problems with all dummies as rows: float64 `[B, M, M]`."""
    n, m = problems.reduced.shape[1:]
    others = tf.repeat(problems.last[:, None], m - n, axis=1)
    return tf.concat([problems.reduced, others], axis=1)


def complete(problems):
    """The best matching with the dummies in the columns that are left: int32 `[B, M]`."""
    n, size = problems.reduced.shape[1:]
    perm = tf.pad(problems.perm, [[0, 0], [0, size - n]], constant_values=-1)
    free = tf.argsort(tf.cast(invert(perm, size) >= 0, tf.int32), axis=1, stable=True)
    is_dummy = perm < 0
    number = tf.cumsum(tf.cast(is_dummy, tf.int32), axis=1, exclusive=True)
    number = tf.minimum(number, size - 1)
    return tf.where(is_dummy, tf.gather(free, number, batch_dims=1), perm)


def log_partition(problems, log_sum):
    """The logarithm of the sum of the weights of all matchings.

    Args:
        problems: `ScaledMatchings`.
        log_sum: float64 `[B]`, the logarithm of the scaled sum in which dummies have all
            their orders.

    Returns:
        float64 `[B]`: `-inf` where there is no matching, NaN where the logits are not
        valid, both with zero gradient.
    """
    result = problems.log_scale + log_sum - problems.log_orders
    result = tf.where(problems.has_matching, result, -math.inf)
    return tf.where(problems.is_valid, result, math.nan)
