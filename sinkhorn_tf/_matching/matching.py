"""The matching operator M(X) in plain graph ops, with certificates.

It is that of Mena et al. (2018), eq. 2.
"""

from __future__ import annotations

import functools
import math
import typing
import warnings

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments, batching, padding
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._matching import interior_duals
from sinkhorn_tf._matching.augmenting_paths import assign
from sinkhorn_tf._matching.held_karp import is_few
from sinkhorn_tf._matching.rectangular import invert, orient

_TEMPERATURE_IS_DEPRECATED = (
    "certified_matching(temperature=...) changes nothing and will be removed: call "
    "certified_matching(logits)"
)


class CertifiedMatching(typing.NamedTuple):
    """A matching, and a proof of how far it can be from the best one.

    Attributes:
        perm: int32 `[..., N]`, -1 for an item without a position, and throughout where
            there is no matching.
        value: float64 `[...]`, the sum of the matched logits.
        upper_bound: float64 `[...]`, no matching has a larger sum.
        gap: float64 `[...]`, `upper_bound - value`; exactly 0 where the matching is
            proven to be the best. Where there is no matching, value, bound and gap are
            NaN; where no item or no position exists, they are 0. Where the sums
            overflow float64, bound and gap are +inf unless the matching is proven to
            be the best.

    Example:
        >>> perm, value, upper_bound, gap = st.certified_matching([[1, 4], [2, 3]])
        >>> print(perm.numpy(), value.numpy(), upper_bound.numpy(), gap.numpy())
        [1 0] 6.0 6.0 0.0
    """

    perm: tf.Tensor
    value: tf.Tensor
    upper_bound: tf.Tensor
    gap: tf.Tensor


@takes_tensors("st.Matching")
def matching(
    logits: TensorLike,
    *,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    r"""The matching with the largest sum of logits.

    It is :math:`M(X) = \arg\max_P \langle P, X \rangle` over all matchings P.

    As many items as positions make a permutation. Otherwise each member of the smaller
    side is placed, and each of the larger side at most once.

    It is exact up to float64 rounding, and made of standard TensorFlow ops only, so
    that it runs inside a SavedModel. Its gradient is zero. Where several matchings
    are equally good, XLA may return another one than plain TensorFlow.

    Args:
        logits: `[..., N, M]`, floating point or integers (those beyond 2**53 are
            rounded to float64). `-inf` forbids a pair. Subnormal numbers, and float64
            differences that are subnormal, count as 0: TensorFlow flushes them.
        row_mask: bool `[..., N]`, False where an item does not exist; or None. The
            result is that of the items and positions that exist, and the other logits
            may be anything, NaN included. The batch dimensions of masks and logits
            broadcast.
        col_mask: bool `[..., M]`, False where a position does not exist; or None.
        jit_compile: As in `sinkhorn`.

    Returns:
        int32 `[..., N]`: item i goes to position `perm[..., i]`, or to none if that is
        -1. -1 throughout where the forbidden pairs leave no matching, or for an example
        with NaN or +inf.

    Raises:
        TypeError, ValueError: If dtype or shape are out of range.

    Example:
        >>> st.matching([[1, 4, 2], [2, 3, 9], [8, 1, 1]]).numpy().tolist()
        [1, 2, 0]

        Three items for two positions, then two items for two of three positions:

        >>> st.matching([[1, 4], [2, 3], [8, 1]]).numpy().tolist()
        [1, -1, 0]
        >>> scores = [[1, 4, 2], [2, 3, 9]]
        >>> st.matching(scores, col_mask=[True, True, False]).numpy().tolist()
        [1, 0]
    """
    logits = arguments.to_logits(logits, integers=True)
    masks = arguments.to_masks(row_mask, col_mask, logits)
    return _matching(logits, *masks, jit_compile=jit_compile)


@takes_tensors()
def certified_matching(
    logits: TensorLike,
    temperature: TensorLike | None = None,
    *,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> CertifiedMatching:
    r"""The matching, its value, and a proven upper bound for every matching.

    If :math:`f_i + g_j \ge X_{ij}` for all pairs, :math:`\sum f + \sum g` bounds the
    value of every permutation (linear programming duality). The potentials come from
    the matching. Where each row's argmax of the once-rounded :math:`X_{ij} - g_j` is
    strict and is the matched column, the matching is optimal without any tolerance,
    since rounding is monotone: the gap is exactly 0. Otherwise it includes an allowance
    for the rounding of the sums. With more columns than rows, the same holds if
    :math:`g_j \ge 0`, and :math:`g_j = 0` for the columns of no row; more rows than
    columns are the transpose.

    A soft permutation :math:`S(X / t)` comes close to this value as t falls:
    `t, _ = st.entropic.temperature_for_accuracy(-X, epsilon)` is a temperature for
    which `value` less :math:`\langle S(X / t), X \rangle` is proven to be at most
    `epsilon` (Weed 2018), `X` `[N, N]` and `st.sinkhorn_solve(X, t).plan` the soft
    permutation.

    Args:
        logits, row_mask, col_mask: As in `matching`.
        temperature: Deprecated. It is checked and changes nothing; a value other than
            None gives a DeprecationWarning.
        jit_compile: As in `sinkhorn`.

    Returns:
        A `CertifiedMatching`.

    Raises:
        TypeError, ValueError: As `matching`.

    Example:
        >>> certified = st.certified_matching([[1.0, 4.0], [2.0, 3.0]])
        >>> print(certified.perm.numpy(), certified.value.numpy())
        [1 0] 6.0
        >>> bool(certified.gap == 0)  # The matching is proven to be the best.
        True
        >>> one_item = st.certified_matching(
        ...     [[1.0, 4.0], [2.0, 3.0]], row_mask=[False, True]
        ... )
        >>> print(one_item.perm.numpy(), one_item.value.numpy())
        [-1  1] 3.0
    """
    logits = arguments.to_logits(logits, integers=True)
    masks = arguments.to_masks(row_mask, col_mask, logits)
    if temperature is not None:
        dtype = arguments.compute_dtype(logits.dtype)
        arguments.to_positive(temperature, "temperature", dtype, logits.shape[:-2])
        # The third frame is the caller's, outside of `takes_tensors`.
        warnings.warn(_TEMPERATURE_IS_DEPRECATED, DeprecationWarning, stacklevel=3)
    return _certified_matching(logits, *masks, jit_compile=jit_compile)


def _pad(logits, row_mask, col_mask):
    """The arguments of an operator, of a size that eager calls share."""
    # Integers have no infinity.
    blocks = logits.dtype.is_floating
    padded, *masks = padding.pad(logits, row_mask, col_mask, blocks)
    if padded is logits:
        return (logits, row_mask, col_mask), None
    return (padded, *masks), functools.partial(cropped, n=logits.shape[-2])


def cropped(result, n):
    """A matching, or a `CertifiedMatching`, of the first N items."""
    if isinstance(result, CertifiedMatching):
        return result._replace(perm=result.perm[..., :n])
    return result[..., :n]


@functools.partial(compiled_when_eager, pad=_pad)
def _matching(logits, row_mask, col_mask):
    x, masks, batch = _flatten(logits, row_mask, col_mask)
    x, existing, place_back = orient(x, *masks)
    perm, _ = assign(x, float(logits.dtype.max), duals=False, existing=existing)
    return batch.unflatten(tf.stop_gradient(place_back(perm)))


@functools.partial(compiled_when_eager, pad=_pad)
def _certified_matching(logits, row_mask, col_mask):
    x, masks, batch = _flatten(logits, row_mask, col_mask)
    x, existing, place_back = orient(tf.stop_gradient(x), *masks)
    perm, g = assign(x, float(logits.dtype.max), existing=existing)
    placed = perm >= 0
    if existing is None:
        answered = placed[:, 0]
    else:
        answered = tf.reduce_all(tf.equal(placed, existing.rows), axis=1)
    # Examples without an answer take part, with any permutation.
    row = tf.range(tf.shape(perm)[1])
    safe = tf.where(answered[:, None], perm, row)
    terms = tf.gather(x, tf.maximum(safe, 0), batch_dims=2)
    if existing is not None:
        terms = tf.where(existing.rows, terms, 0)
    proven, f = _proves(x, safe, g, existing)
    if not is_few(x) and existing is None:
        g = interior_duals.loosen(x, safe, g, answered & ~proven)
        proven_now, f = _proves(x, safe, g)
        proven |= proven_now
    if not is_few(x):
        needed = answered & ~proven
        g = interior_duals.move_inside(x, safe, g, needed, existing)
        proven_now, f = _proves(x, safe, g, existing)
        proven |= proven_now
    value, bound, gap = bounds(terms, f, g, proven)
    nan = tf.constant(math.nan, tf.float64)
    parts = (tf.where(answered, part, nan) for part in (value, bound, gap))
    return CertifiedMatching(*map(batch.unflatten, (place_back(perm), *parts)))


def _flatten(logits, row_mask, col_mask):
    """The logits as float64 `[B, N, M]`, the masks or None, the batch dimensions."""
    x = tf.cast(logits, tf.float64)
    (x, *masks), batch = batching.flatten(x, (row_mask, 1), (col_mask, 1))
    return x, masks, batch


def bounds(terms, f, g, proven):
    """Value, upper bound and gap of matchings.

    Args:
        terms: float64 `[B, N]`, the matched elements.
        f, g: float64 `[B, N]` and `[B, M]`, duals.
        proven: bool `[B]`, whether the duals prove the matching.

    Returns:
        float64 `[B]`, three of them.
    """
    value = tf.reduce_sum(terms, axis=1)
    absolute = tf.reduce_sum(tf.abs(f) + tf.abs(terms), axis=1)
    absolute += tf.reduce_sum(tf.abs(g), axis=1)
    m = tf.cast(tf.shape(g)[1], tf.float64)
    # Each sum of m terms, and each f, has a relative error of 2^-53 for each step.
    # Numbers below `tiny` are flushed to 0.
    tiny = np.finfo(np.float64).tiny
    allowance = (m + 4) * 2.0**-52 * absolute + 4 * m * tiny
    bound = tf.reduce_sum(f, 1) + tf.reduce_sum(g, 1) + allowance
    bound = tf.where(proven, value, tf.maximum(bound, value))
    gap = tf.where(proven, tf.zeros_like(value), bound - value)
    infinite = tf.fill(tf.shape(bound), tf.constant(math.inf, tf.float64))
    bound, gap = (tf.where(tf.math.is_nan(x), infinite, x) for x in (bound, gap))
    return value, bound, gap


def _proves(x, perm, g, existing=None):
    """Whether every row's strict argmax of `x - g` is its matched column.

    With more columns than rows, the duals must also be >= 0, and 0 for those of no row.

    Args:
        x: float64 `[B, N, M]`.
        perm: int32 `[B, N]`, -1 for rows that do not exist.
        g: float64 `[B, M]`.
        existing: The `Existing`; None for whole squares.

    Returns:
        bool `[B]`; the maxima `[B, N]`, 0 for rows that do not exist.
    """
    reduced = x - g[:, None, :]
    matched = tf.gather(reduced, tf.maximum(perm, 0), batch_dims=2)
    rivals = tf.reduce_sum(tf.cast(reduced >= matched[:, :, None], tf.int32), 2)
    f = tf.reduce_max(reduced, axis=2)
    if existing is None:
        return tf.reduce_all(rivals == 1, axis=1), f
    strict = tf.reduce_all((rivals == 1) | ~existing.rows, axis=1)
    taken = invert(perm, tf.shape(g)[1]) >= 0
    complementary = tf.reduce_all(tf.where(taken, g >= 0, g == 0), axis=1)
    proven = strict & (complementary | ~existing.more_cols)
    return proven, tf.where(existing.rows, f, 0)
