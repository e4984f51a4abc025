"""The matching operator M(X) in plain graph ops, with certificates.

It is that of Mena et al. (2018), eq. 2.
"""

from __future__ import annotations

import math
import typing
import warnings

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._matching import interior_duals
from sinkhorn_tf._matching.augmenting_paths import assign
from sinkhorn_tf._matching.held_karp import is_few

_TEMPERATURE_IS_DEPRECATED = (
    "certified_matching(temperature=...) changes nothing and will be removed: call "
    "certified_matching(logits)"
)


class CertifiedMatching(typing.NamedTuple):
    """A matching, and a proof of how far it can be from the best one.

    Attributes:
        perm: int32 `[..., N]`, -1 throughout where there is no permutation.
        value: float64 `[...]`, the sum of the matched logits.
        upper_bound: float64 `[...]`, no permutation has a larger sum.
        gap: float64 `[...]`, `upper_bound - value`; exactly 0 where the matching is
            proven to be the best. Where `perm` is -1, value, bound and gap are NaN;
            where the sums overflow float64, bound and gap are +inf unless the
            matching is proven to be the best.

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
def matching(logits: TensorLike, *, jit_compile: bool | None = None) -> tf.Tensor:
    """The permutation with the largest sum of logits, `M(X) = argmax_P <P, X>`.

    It is exact up to float64 rounding, and made of standard TensorFlow ops only, so
    that it runs inside a SavedModel. Its gradient is zero. Where several permutations
    are equally good, XLA may return another one than plain TensorFlow.

    Args:
        logits: `[..., N, N]`, floating point or integers (those beyond 2**53 are
            rounded to float64). `-inf` forbids a pair. Subnormal numbers, and float64
            differences that are subnormal, count as 0: TensorFlow flushes them.
        jit_compile: As in `sinkhorn`.

    Returns:
        int32 `[..., N]`: item i goes to position `perm[..., i]`. -1 throughout where
        the forbidden pairs leave no permutation, or for an example with NaN or +inf.

    Raises:
        TypeError, ValueError: If dtype or shape are out of range.

    Example:
        >>> st.matching([[1, 4, 2], [2, 3, 9], [8, 1, 1]]).numpy().tolist()
        [1, 2, 0]
    """
    logits = arguments.to_logits(logits, integers=True)
    return _matching(logits, jit_compile=jit_compile)


@takes_tensors()
def certified_matching(
    logits: TensorLike,
    temperature: TensorLike | None = None,
    *,
    jit_compile: bool | None = None,
) -> CertifiedMatching:
    """The matching, its value, and a proven upper bound for every permutation.

    If `f_i + g_j >= X_ij` for all pairs, `sum f + sum g` bounds the value of every
    permutation (linear programming duality). The potentials come from the matching.
    Where each row's argmax of the once-rounded `X_ij - g_j` is strict and is the
    matched column, the matching is optimal without any tolerance, since rounding
    is monotone: the gap is exactly 0. Otherwise it includes an allowance for the
    rounding of the sums.

    A soft permutation `S(X / t)` comes close to this value as t falls:
    `t, _ = st.entropic.temperature_for_accuracy(-X, epsilon)` is a temperature for
    which `value - <S(X / t), X> <= epsilon` is proven (Weed 2018), `X` `[N, N]` and
    `st.sinkhorn_solve(X, t).plan` the soft permutation.

    Args:
        logits: As in `matching`.
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
    """
    logits = arguments.to_logits(logits, integers=True)
    if temperature is not None:
        dtype = arguments.compute_dtype(logits.dtype)
        arguments.to_positive(temperature, "temperature", dtype, logits.shape[:-2])
        # The third frame is the caller's, outside of `takes_tensors`.
        warnings.warn(_TEMPERATURE_IS_DEPRECATED, DeprecationWarning, stacklevel=3)
    return _certified_matching(logits, jit_compile=jit_compile)


@compiled_when_eager
def _matching(logits):
    (x,), batch = batching.flatten(tf.cast(logits, tf.float64))
    perm, _ = assign(x, float(logits.dtype.max), duals=False)
    return batch.unflatten(tf.stop_gradient(perm))


@compiled_when_eager
def _certified_matching(logits):
    (x,), batch = batching.flatten(tf.cast(logits, tf.float64))
    x = tf.stop_gradient(x)
    perm, g = assign(x, float(logits.dtype.max))
    matched = perm[:, 0] >= 0
    # Examples without an answer take part, with any permutation.
    safe = tf.where(matched[:, None], perm, tf.range(tf.shape(perm)[1]))
    terms = tf.gather(x, safe, batch_dims=2)
    proven, f = _proves(x, safe, g)
    if not is_few(x):
        g = interior_duals.move_inside(x, safe, g, matched & ~proven)
        proven_now, f = _proves(x, safe, g)
        proven |= proven_now
    value = tf.reduce_sum(terms, axis=1)
    absolute = tf.reduce_sum(tf.abs(f) + tf.abs(g) + tf.abs(terms), axis=1)
    n = tf.cast(tf.shape(x)[-1], tf.float64)
    # Each sum of n terms, and each f, has a relative error of 2^-53 for each step.
    # Numbers below `tiny` are flushed to 0.
    tiny = np.finfo(np.float64).tiny
    allowance = (n + 4) * 2.0**-52 * absolute + 4 * n * tiny
    bound = tf.reduce_sum(f, 1) + tf.reduce_sum(g, 1) + allowance
    bound = tf.where(proven, value, tf.maximum(bound, value))
    gap = tf.where(proven, tf.zeros_like(value), bound - value)
    infinite = tf.fill(tf.shape(bound), tf.constant(math.inf, tf.float64))
    bound, gap = (tf.where(tf.math.is_nan(x), infinite, x) for x in (bound, gap))
    nan = tf.constant(math.nan, tf.float64)
    value, bound, gap = (tf.where(matched, x, nan) for x in (value, bound, gap))
    return CertifiedMatching(*map(batch.unflatten, (perm, value, bound, gap)))


def _proves(x, perm, g):
    """Whether every row's strict argmax of `x - g` is its matched column.

    Args:
        x: float64 `[B, N, N]`.
        perm, g: `[B, N]`.

    Returns:
        bool `[B]`; the maxima `[B, N]`.
    """
    reduced = x - g[:, None, :]
    matched = tf.gather(reduced, perm, batch_dims=2)
    rivals = tf.reduce_sum(tf.cast(reduced >= matched[:, :, None], tf.int32), 2)
    return tf.reduce_all(rivals == 1, axis=1), tf.reduce_max(reduced, axis=2)
