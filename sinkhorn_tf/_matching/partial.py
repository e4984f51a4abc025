"""The partial matching: pairs are matched only where they are worth it, and a proof."""

from __future__ import annotations

import functools
import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching, padding
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._matching import interior_duals
from sinkhorn_tf._matching.augmenting_paths import assign
from sinkhorn_tf._matching.matching import CertifiedMatching, bounds, cropped
from sinkhorn_tf._matching.rectangular import Existing, invert, orient


@takes_tensors()
def partial_matching(
    logits: TensorLike,
    unmatched_score: TensorLike,
    *,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    certified: bool = False,
    jit_compile: bool | None = None,
) -> tf.Tensor | CertifiedMatching:
    """Matches only those pairs that are worth more than a score.

    It maximises the sum of `logits - unmatched_score` over all partial matchings, which
    leave any number of items and positions unmatched. A pair is matched only where its
    logit is larger than the score; an equal one stays unmatched. It is the limit of
    `partial_sinkhorn` as the temperature goes to 0.

    As `matching` it is exact up to float64 rounding, and made of standard TensorFlow
    ops only. Its gradient is zero. Where several matchings are equally good, XLA may
    return another one than plain TensorFlow.

    Args:
        logits: `[..., N, M]`, floating point or integers, as in `matching`. `-inf`
            forbids a pair.
        unmatched_score: Finite number, or tensor that broadcasts against the batch
            dimensions. It is compared with the logits as float64; Python numbers
            have the precision of the logits, at least float32.
        row_mask, col_mask: bool `[..., N]` and `[..., M]`, or None, as in `matching`.
        certified: Whether to return a proof too.
        jit_compile: As in `sinkhorn`.

    Returns:
        int32 `[..., N]`: item i goes to position `perm[..., i]`, or to none if that is
        -1. -1 throughout for an example with NaN or +inf. With `certified` it is the
        `perm` of a `CertifiedMatching`, whose value is the sum of
        `logits - unmatched_score` over the pairs, whose upper bound holds for every
        partial matching, and whose value, bound and gap are NaN only for such an
        example.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a shape or value is out of range. A score that is not finite and
            known only inside a graph counts as NaN in the example.

    Example:
        >>> logits = [[1.0, 4.0, 2.0], [2.0, 3.0, 0.0], [0.0, 0.5, 1.0]]
        >>> st.partial_matching(logits, 1.5).numpy().tolist()
        [1, 0, -1]
        >>> certified = st.partial_matching(logits, 1.5, certified=True)
        >>> print(certified.value.numpy(), certified.gap.numpy())
        3.0 0.0
    """
    logits = arguments.to_logits(logits, integers=True)
    masks = arguments.to_masks(row_mask, col_mask, logits)
    return _partial_matching(
        logits,
        _to_score(unmatched_score, logits),
        *masks,
        certified=arguments.to_bool(certified, "certified"),
        jit_compile=jit_compile,
    )


def _to_score(value, logits):
    """The score as float64."""
    dtype = tf.float64
    if logits.dtype.is_floating and not hasattr(value, "dtype"):
        # As a logit it would have been rounded: equal numbers have to stay equal.
        dtype = arguments.compute_dtype(logits.dtype)
    score = arguments.to_finite(value, "unmatched_score", dtype, logits.shape[:-2])
    return tf.cast(score, tf.float64)


def _pad(logits, score, row_mask, col_mask):
    """The arguments of `_partial_matching`, of a size that eager calls share."""
    padded, *masks = padding.pad(logits, row_mask, col_mask, blocks=False)
    if padded is logits:
        return (logits, score, row_mask, col_mask), None
    return (padded, score, *masks), functools.partial(cropped, n=logits.shape[-2])


@functools.partial(compiled_when_eager, pad=_pad)
def _partial_matching(logits, score, row_mask, col_mask, *, certified):
    x = tf.stop_gradient(tf.cast(logits, tf.float64))
    tensors, batch = batching.flatten(x, (score, 0), (row_mask, 1), (col_mask, 1))
    perm, parts = _match(*tensors, certified=certified)
    perm = batch.unflatten(tf.stop_gradient(perm))
    return CertifiedMatching(perm, *map(batch.unflatten, parts)) if certified else perm


def _match(x, score, row_mask, col_mask, *, certified):
    """The partial matchings `[B, N]`, and with `certified` value, bound and gap `[B]`."""
    x, existing, place_back = orient(x, row_mask, col_mask)
    score = tf.stop_gradient(score)[:, None, None]
    above = x > score
    x, score, scale = _scaled(x, score)
    # All other pairs are worth nothing, and are dropped again. So every row has a place.
    worth = tf.where(above, x - score, _zero_or_nan(x, score))
    if existing is not None:
        pairs = existing.rows[:, :, None] & existing.cols[:, None, :]
        worth = tf.where(pairs, worth, tf.constant(-math.inf, x.dtype))
    perm, g = assign(worth, duals=certified, existing=existing)
    placed = perm >= 0
    placed_all = placed if existing is None else tf.equal(placed, existing.rows)
    answered = tf.reduce_all(placed_all, 1)
    answered &= ~tf.math.is_nan(score[:, 0, 0])
    kept = placed & tf.gather(above, tf.maximum(perm, 0), batch_dims=2)
    perm = tf.where(kept & answered[:, None], perm, -1)
    if not certified:
        return place_back(perm), []
    rows, cols, more_cols = existing or _whole(x)
    problem = _Problem(x, score, above, worth, rows, cols)
    g = _to_partial_duals(problem, perm, g, more_cols)
    proven, f = _proves(problem, perm, g)
    g = _move_inside(problem, perm, g, answered & ~proven)
    proven_now, f = _proves(problem, perm, g)
    terms = tf.where(perm >= 0, tf.gather(worth, tf.maximum(perm, 0), batch_dims=2), 0)
    # The allowance has room for the rounding of the differences: it is twice the bound
    # of that of the sums.
    parts = bounds(terms, f, g, proven | proven_now)
    nan = tf.constant(math.nan, x.dtype)
    return place_back(perm), [tf.where(answered, part / scale, nan) for part in parts]


class _Problem(typing.NamedTuple):
    """Matrices whose rows are no more than their columns, and what their pairs are worth."""

    x: tf.Tensor
    """float64 `[B, N, M]`, the logits."""
    score: tf.Tensor
    """float64 `[B, 1, 1]`."""
    above: tf.Tensor
    """bool `[B, N, M]`, whether the logit is larger than the score."""
    worth: tf.Tensor
    """float64 `[B, N, M]`, their difference, at least 0; -inf where one does not exist."""
    rows: tf.Tensor
    """bool `[B, N]`, the rows that exist."""
    cols: tf.Tensor
    """bool `[B, M]`, the columns that exist."""


def _scaled(x, score):
    """Both, made smaller where differences would overflow, and the factor `[B]`."""
    size = tf.where(tf.math.is_finite(x), tf.abs(x), tf.zeros_like(x))
    size = tf.reduce_max(tf.maximum(size, tf.abs(score)), axis=[1, 2])
    one = tf.ones_like(size)
    scale = tf.where(size > 1e300, one * 2.0**-40, one)
    factor = scale[:, None, None]
    return x * factor, score * factor, scale


def _zero_or_nan(x, score):
    nan = tf.constant(math.nan, x.dtype)
    return tf.where(x <= score, tf.zeros_like(x), nan)


def _whole(x):
    rows, cols = tf.ones_like(x[:, :, 0], tf.bool), tf.ones_like(x[:, 0, :], tf.bool)
    return Existing(rows, cols, tf.zeros_like(rows[:, 0]))


def _to_partial_duals(problem, perm, g, more_cols):
    """Column duals >= 0, and 0 for the columns of no row, from those of `assign`.

    As no pair is worth less than 0, the least duals of rows and columns of a square have
    a sum of at least 0: a shift makes both at least 0.
    """
    lowest = tf.reduce_min(tf.where(problem.cols, g, math.inf), axis=1, keepdims=True)
    g = tf.where(more_cols[:, None], g, g - lowest)
    taken = invert(perm, tf.shape(g)[1]) >= 0
    return tf.where(taken, tf.maximum(g, 0), 0)


def _proves(problem, perm, g):
    """Whether duals prove a partial matching, whatever the rounding.

    With `g >= 0`, and 0 for the columns of no row, no partial matching is better if
    each row takes the largest of the score and its `x - g`. As rounding is monotone, a
    strict comparison of rounded numbers is one of the numbers themselves; logits and
    score are not rounded, and where g is 0 need no strict one.

    Args:
        problem: The `_Problem`.
        perm: int32 `[B, N]`, -1 for the rows that take the score.
        g: float64 `[B, M]`.

    Returns:
        bool `[B]`; the row duals `[B, N]`, which are at least 0.
    """
    reduced = problem.x - g[:, None, :]
    free = (g == 0)[:, None, :]
    not_below = tf.where(free, problem.above, reduced >= problem.score)
    is_above = tf.where(free, problem.above, reduced > problem.score)
    safe = tf.maximum(perm, 0)
    matched = tf.gather(reduced, safe, batch_dims=2)
    rivals = tf.reduce_sum(tf.cast(reduced >= matched[:, :, None], tf.int32), axis=2)
    takes_pair = (rivals == 1) & tf.gather(is_above, safe, batch_dims=2)
    takes_score = ~tf.reduce_any(not_below, axis=2)
    proven = tf.reduce_all(tf.where(perm >= 0, takes_pair, takes_score), axis=1)
    f = tf.reduce_max(problem.worth - g[:, None, :], axis=2)
    return proven, tf.maximum(f, 0)


def _move_inside(problem, perm, g, needed):
    """Duals in the interior of the optimal face, where needed.

    The rows and columns that are not matched have the dual 0, all alike.
    """
    kept = perm >= 0
    single = problem.rows & ~kept
    rival = tf.where(single[:, :, None], problem.worth, tf.zeros_like(problem.worth))
    least = tf.maximum(tf.reduce_max(rival, axis=1), 0)
    existing = Existing(kept, problem.cols, tf.ones_like(needed))
    return interior_duals.move_inside(problem.worth, perm, g, needed, existing, least)
