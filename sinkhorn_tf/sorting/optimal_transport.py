"""Soft sorting and ranking: the Sinkhorn operator without a network."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.conversion import to_numbers
from sinkhorn_tf._core.refusals import WrongKindError, takes_tensors
from sinkhorn_tf._sinkhorn.solve import sinkhorn_solve


@takes_tensors()
def soft_sort(
    values: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    top_k: int | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    """Sorts the last axis, ascending, differentiably.

    The logits are minus the squared distances of the values, scaled to [0, 1], from N
    evenly spaced anchors; the plan moves the values to the anchors' places. As the
    temperature goes to 0 the result goes to `tf.sort(values)`.

    Args:
        values: `[..., N]`, floating point, finite.
        temperature: As in `sinkhorn`, for values that span [0, 1]: it does not depend
            on their scale.
        top_k: If given, only the `top_k` largest are returned, still ascending:
            `[..., top_k]`.
        jit_compile: As in `sinkhorn_solve`.

    Returns:
        `[..., N]` or `[..., top_k]`, dtype of `values`.

    Raises:
        TypeError, ValueError: If dtype, shape or a number are out of range.

    Example:
        >>> st.soft_sort([3.0, 1.0, 2.0]).numpy().round(3).tolist()
        [1.0, 2.0, 3.0]
        >>> st.soft_sort([3.0, 1.0, 2.0], top_k=2).numpy().round(3).tolist()
        [2.0, 3.0]

    Reference:
        Cuturi, Teboul & Vert 2019, Differentiable ranking and sorting using optimal
        transport, section 3.
    """
    values, n, top_k = _check(values, top_k)
    plan = _plan(values, n, temperature, jit_compile)
    moved = tf.linalg.matvec(plan, tf.cast(values, plan.dtype), transpose_a=True)
    return tf.cast(moved[..., n - top_k :], values.dtype)


@takes_tensors()
def soft_rank(
    values: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    top_k: int | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    """Ranks along the last axis, ascending from 0, differentiably.

    As the temperature goes to 0 the result goes to `argsort(argsort(values))` for
    values that differ; equal values share the mean of their ranks.

    Args:
        values, temperature, jit_compile: As in `soft_sort`.
        top_k: If given, ranks are counted among the `top_k` largest: the smallest of
            these has rank 0, and so have all values below it.

    Returns:
        `[..., N]`, dtype of `values`.

    Raises:
        TypeError, ValueError: As `soft_sort`.

    Example:
        >>> st.soft_rank([3.0, 1.0, 2.0]).numpy().round(3).tolist()
        [2.0, 0.0, 1.0]

    Reference:
        As `soft_sort`.
    """
    values, n, top_k = _check(values, top_k)
    plan = _plan(values, n, temperature, jit_compile)
    ranks = tf.maximum(tf.range(n) - (n - top_k), 0)
    return tf.cast(tf.linalg.matvec(plan, tf.cast(ranks, plan.dtype)), values.dtype)


def _check(values, top_k):
    """Converts and checks the values, and gives N and `top_k`."""
    values = to_numbers(values, "values")
    if not values.dtype.is_floating:
        raise WrongKindError(
            "values must be floating point; cast them first. "
            f"Received: values.dtype={values.dtype.name}"
        )
    if values.shape.rank is None or values.shape.rank < 1 or not values.shape[-1]:
        raise ValueError(
            "values must have shape [..., N] with a known N >= 1. "
            f"Received: values.shape={values.shape}"
        )
    n = values.shape[-1]
    top_k = n if top_k is None else arguments.to_count(top_k, "top_k", 1)
    if top_k > n:
        raise ValueError(f"top_k must be at most N = {n}. Received: top_k={top_k}")
    return values, n, top_k


def _plan(values, n, temperature, jit_compile):
    """The soft permutation `[..., N, N]` that sorts the values."""
    dtype = arguments.compute_dtype(values.dtype)
    x = tf.cast(values, dtype)
    # This keeps differences from overflowing, and changes nothing else.
    size = tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=-1, keepdims=True))
    x /= tf.where(size > 0, size, tf.ones_like(size))
    low = tf.reduce_min(x, axis=-1, keepdims=True)
    span = tf.reduce_max(x, axis=-1, keepdims=True) - low
    x = (x - low) / tf.where(span > 0, span, tf.ones_like(span))
    anchors = tf.constant(np.linspace(0, 1, n), dtype)
    # Only the product in the square matters: the other terms are the same for a whole
    # row or column. The factor N keeps neighbours apart at the same temperature.
    logits = 2 * n * x[..., :, None] * anchors
    # Plain iterations are far from the limit at temperatures that sort.
    return sinkhorn_solve(logits, temperature, jit_compile=jit_compile).plan
