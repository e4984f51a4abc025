"""Soft sorting and ranking: the Sinkhorn operator without a network."""

from __future__ import annotations

import functools

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.conversion import to_numbers
from sinkhorn_tf._core.refusals import WrongKindError, takes_tensors
from sinkhorn_tf._sinkhorn.solve import solve_near


@takes_tensors()
def soft_sort(
    values: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    top_k: int | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    r"""Sorts the last axis, ascending, differentiably.

    The logits are minus the squared distances of the values, scaled to [0, 1], from N
    evenly spaced anchors, times N: :math:`X_{ij} = -N (x_i - a_j)^2`. The plan moves
    the values v to the anchors' places: :math:`\sum_i P_{ij} v_i` is at place j. As the
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
        Cuturi et al. (2019), Differentiable ranking and sorting using optimal
        transport, section 3.
    """
    return _transport(_soft_sort, values, temperature, top_k, jit_compile)


@takes_tensors()
def soft_rank(
    values: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    top_k: int | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    r"""Ranks along the last axis, ascending from 0, differentiably.

    The rank of value i is :math:`\sum_j P_{ij} j`, with the plan of `soft_sort`. As the
    temperature goes to 0 the result goes to `argsort(argsort(values))` for values that
    differ; equal values share the mean of their ranks.

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
    return _transport(_soft_rank, values, temperature, top_k, jit_compile)


def _transport(function, values, temperature, top_k, jit_compile):
    """The result of `_soft_sort` or `_soft_rank` for arguments that it checks."""
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
    temperature = arguments.to_positive(
        temperature, "temperature", tf.float64, values.shape[:-1]
    )
    return function(
        values,
        temperature,
        n_left_out=n - top_k,
        jit_compile=arguments.to_jit_compile(jit_compile) or False,
    )


@functools.partial(compiled_when_eager, unknown_axes=1)
def _soft_sort(values, temperature, n_left_out):
    plan = _plan(values, temperature)
    moved = tf.linalg.matvec(plan, tf.cast(values, plan.dtype), transpose_a=True)
    return tf.cast(moved[..., n_left_out:], values.dtype)


@functools.partial(compiled_when_eager, unknown_axes=1)
def _soft_rank(values, temperature, n_left_out):
    plan = _plan(values, temperature)
    ranks = tf.maximum(tf.range(tf.shape(values)[-1]) - n_left_out, 0)
    return tf.cast(tf.linalg.matvec(plan, tf.cast(ranks, plan.dtype)), values.dtype)


def _plan(values, temperature):
    """The soft permutation `[..., N, N]` that sorts the values."""
    dtype = arguments.compute_dtype(values.dtype)
    x = tf.cast(values, dtype)
    # This keeps differences from overflowing, and changes nothing else.
    size = tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=-1, keepdims=True))
    x /= tf.where(size > 0, size, tf.ones_like(size))
    low = tf.reduce_min(x, axis=-1, keepdims=True)
    span = tf.reduce_max(x, axis=-1, keepdims=True) - low
    x = (x - low) / tf.where(span > 0, span, tf.ones_like(span))
    # Only the product in the square matters: the other terms are the same for a whole
    # row or column. The factor N keeps neighbours apart at the same temperature.
    n = batching.static_or_dynamic(x, -1)
    x *= 2 * tf.cast(n, dtype)
    anchors = tf.cast(tf.range(n) / tf.maximum(n - 1, 1), dtype)
    # Plain iterations are far from the limit at temperatures that sort.
    solution = solve_near(
        x[..., :, None] * anchors, -_duals_of_sorted(x, anchors), temperature
    )
    return solution.plan


def _duals_of_sorted(x, anchors):
    """Optimal row duals `[..., N]` of the scores `x_i anchors_j` at temperature 0.

    Two neighbours in order keep their anchors as long as the difference of their duals is
    between two bounds. The middle is taken, to which the difference tends as the temperature
    falls to 0.
    """
    order = tf.argsort(x, axis=-1)
    steps = tf.gather(x, order, batch_dims=x.shape.rank - 1)
    steps = steps[..., 1:] - steps[..., :-1]
    duals = -tf.cumsum(steps * (anchors[1:] + anchors[:-1]) / 2, axis=-1)
    duals = tf.concat([tf.zeros_like(x[..., :1]), duals], axis=-1)
    return tf.gather(duals, tf.argsort(order, axis=-1), batch_dims=x.shape.rank - 1)
