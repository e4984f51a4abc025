"""The matching operator M(X) (SN eq. 2) in plain graph ops, with certificates."""

import math
import typing

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments as _arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._matching.augmenting_paths import assign, interior_duals
from sinkhorn_tf._matching.held_karp import is_few


class CertifiedMatching(typing.NamedTuple):
    """A matching and the proof of how far from optimal it can be.

    Attributes:
        perm: int32 `[..., N]`, -1 throughout where there is no permutation.
        value: float64 `[...]`, the sum of the matched logits.
        upper_bound: float64 `[...]`, no permutation has a larger sum.
        gap: float64 `[...]`, `upper_bound - value`; exactly 0 where the matching is
            proven to be the best. Where `perm` is -1 these three are NaN; where the
            sums overflow float64, bound and gap are +inf unless it is proven.
    """

    perm: tf.Tensor
    value: tf.Tensor
    upper_bound: tf.Tensor
    gap: tf.Tensor


@_arguments.takes_tensors("st.Matching")
def matching(logits: TensorLike, *, jit_compile: bool | None = None) -> tf.Tensor:
    """The permutation with the largest sum of logits, `M(X) = argmax_P <P, X>`.

    Exact up to float64 rounding, in standard TensorFlow ops only, so that it runs
    inside a SavedModel. Its gradient is zero. Of equally good permutations it may be
    another one where XLA compiles it.

    Args:
        logits: `[..., N, N]`, floating point or integers (those beyond 2**53 are
            rounded to float64). `-inf` forbids a pair. Subnormal numbers, and float64
            differences that are subnormal, count as 0: TensorFlow makes them so.
        jit_compile: As in `sinkhorn`.

    Returns:
        int32 `[..., N]`: item i goes to position `perm[..., i]`. -1 throughout where
        the forbidden pairs leave no permutation, or for an example with NaN or +inf.

    Raises:
        TypeError, ValueError: If dtype or shape are out of range.
    """
    logits = _arguments.to_logits(logits, integers=True)
    return _matching(logits, jit_compile=jit_compile)


@_arguments.takes_tensors()
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
        temperature: None, or a positive scale of the logits. It is checked, and may
            be used to find the answer faster; the answer does not depend on it.
        jit_compile: As in `sinkhorn`.

    Returns:
        A `CertifiedMatching`.

    Raises:
        TypeError, ValueError: As `matching`.
    """
    logits = _arguments.to_logits(logits, integers=True)
    if temperature is not None:
        dtype = _arguments.compute_dtype(logits.dtype)
        _arguments.to_positive(temperature, "temperature", dtype, logits.shape[:-2])
    return _certified_matching(logits, jit_compile=jit_compile)


@compiled_when_eager
def _matching(logits):
    perm, _ = assign(_flat_float64(logits), float(logits.dtype.max), duals=False)
    return _unflatten(tf.stop_gradient(perm), logits, 1)


@compiled_when_eager
def _certified_matching(logits):
    x = tf.stop_gradient(_flat_float64(logits))
    perm, g = assign(x, float(logits.dtype.max))
    matched = perm[:, 0] >= 0
    # Examples without an answer take part, with whatever numbers they have.
    safe = tf.where(matched[:, None], perm, tf.range(tf.shape(perm)[1]))
    terms = tf.gather(x, safe, batch_dims=2)
    proven, f = _proves(x, safe, g)
    if not is_few(x):
        g = interior_duals(x, safe, g, matched & ~proven)
        proven_now, f = _proves(x, safe, g)
        proven |= proven_now
    value = tf.reduce_sum(terms, axis=1)
    absolute = tf.reduce_sum(tf.abs(f) + tf.abs(g) + tf.abs(terms), axis=1)
    n = tf.cast(tf.shape(x)[-1], tf.float64)
    # Each of the sums of n terms, and each f, is off by a relative 2^-53 a step.
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
    return CertifiedMatching(
        _unflatten(perm, logits, 1),
        _unflatten(value, logits, 0),
        _unflatten(bound, logits, 0),
        _unflatten(gap, logits, 0),
    )


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


def _flat_float64(logits):
    flat = tf.cast(logits, tf.float64)
    if logits.shape.rank == 3:
        return flat
    n = _arguments.static_or_dynamic(logits, -1)
    return tf.reshape(flat, [-1, n, n])


def _unflatten(flat, logits, trailing):
    """`[B, ...]` to the batch dimensions of `logits`, with `trailing` more of them."""
    if logits.shape.rank == 3:
        return flat
    rank = logits.shape.rank - 2 + trailing
    result = tf.reshape(flat, tf.shape(logits)[:rank])
    result.set_shape(logits.shape[:rank])
    return result
