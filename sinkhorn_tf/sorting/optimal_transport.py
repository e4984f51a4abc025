"""Soft sorting and ranking: the Sinkhorn operator without a network."""

from __future__ import annotations

import functools

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._sinkhorn.solve import solve_near
from sinkhorn_tf.sorting._arguments import to_sortable


@takes_tensors()
def soft_sort(
    values: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    top_k: int | None = None,
    axis: int = -1,
    direction: str = "ASCENDING",
    mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    r"""Sorts an axis differentiably.

    The logits are minus the squared distances of the values, scaled to [0, 1], from N
    evenly spaced anchors, times N: :math:`X_{ij} = -N (x_i - a_j)^2`. The plan moves
    the values v to the anchors' places: :math:`\sum_i P_{ij} v_i` is at place j. As the
    temperature goes to 0 the result goes to `tf.sort(values)`.

    Args:
        values: Floating point, finite, `[..., N]`, or another shape whose `axis` is sorted.
        temperature: As in `sinkhorn`, for values that span [0, 1]: it does not depend
            on their scale.
        top_k: If given, only the `top_k` largest are returned, in the same order.
        axis: Int, the axis to sort.
        direction: `"ASCENDING"` or `"DESCENDING"`.
        mask: bool like `values`, False for a value that does not exist, or None. The
            others are sorted among themselves, whatever the value is; the places that are
            left, the last ones, are 0.
        jit_compile: As in `sinkhorn_solve`.

    Returns:
        Like `values`, with `top_k` instead of N if it is given.

    Raises:
        TypeError, ValueError: If dtype, shape or a number are out of range.

    Example:
        >>> st.soft_sort([3.0, 1.0, 2.0]).numpy().round(3).tolist()
        [1.0, 2.0, 3.0]
        >>> st.soft_sort([3.0, 1.0, 2.0], top_k=2).numpy().round(3).tolist()
        [2.0, 3.0]
        >>> mask = [True, False, True]
        >>> st.soft_sort([3.0, 1.0, 2.0], mask=mask).numpy().round(3).tolist()
        [2.0, 3.0, 0.0]

    Reference:
        Cuturi et al. (2019), Differentiable ranking and sorting using optimal
        transport, section 3.
    """
    given = to_sortable(values, axis, direction, mask)
    return given.back(_transport(_soft_sort, given, temperature, top_k, jit_compile))


@takes_tensors()
def soft_rank(
    values: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    top_k: int | None = None,
    axis: int = -1,
    direction: str = "ASCENDING",
    mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    r"""Ranks along an axis, from 0, differentiably.

    The rank of value i is :math:`\sum_j P_{ij} j`, with the plan of `soft_sort`. As the
    temperature goes to 0 the result goes to `argsort(argsort(values))` for values that
    differ; equal values share the mean of their ranks.

    Args:
        values, temperature, axis, direction, mask, jit_compile: As in `soft_sort`. The
            rank of a value that does not exist is 0.
        top_k: If given, ranks are counted among the `top_k` largest. Ascending, the
            smallest of these has rank 0, and so have all values below it; descending, all
            values below them have the rank `top_k - 1` of the smallest.

    Returns:
        Like `values`.

    Raises:
        TypeError, ValueError: As `soft_sort`.

    Example:
        >>> st.soft_rank([3.0, 1.0, 2.0]).numpy().round(3).tolist()
        [2.0, 0.0, 1.0]
        >>> ranks = st.soft_rank([3.0, 1.0, 2.0], direction="DESCENDING")
        >>> ranks.numpy().round(3).tolist()
        [0.0, 2.0, 1.0]

    Reference:
        As `soft_sort`.
    """
    given = to_sortable(values, axis, direction, mask)
    return given.back(_transport(_soft_rank, given, temperature, top_k, jit_compile))


@takes_tensors()
def soft_argsort(
    values: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    axis: int = -1,
    direction: str = "ASCENDING",
    mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    """The soft permutation that sorts: the plan of `soft_sort` and `soft_rank`.

    Args:
        values, temperature, axis, direction, mask, jit_compile: As in `soft_sort`.

    Returns:
        `[..., N, N]`, item first and position second, in the dtype of `values`: rows and
        columns of what exists sum to 1, the others are 0.

    Raises:
        TypeError, ValueError: As `soft_sort`.

    Example:
        >>> print(st.sorting.soft_argsort([3.0, 1.0, 2.0]).numpy().round(2))
        [[0. 0. 1.]
         [1. 0. 0.]
         [0. 1. 0.]]

    Reference:
        As `soft_sort`.
    """
    given = to_sortable(values, axis, direction, mask)
    return _transport(_soft_argsort, given, temperature, None, jit_compile)


def _transport(function, given, temperature, top_k, jit_compile):
    """The result of one of the functions below for arguments that it checks."""
    n = given.x.shape[-1]
    top_k = n if top_k is None else arguments.to_count(top_k, "top_k", 1)
    if top_k > n:
        raise ValueError(f"top_k must be at most N = {n}. Received: top_k={top_k}")
    temperature = arguments.to_positive(
        temperature, "temperature", tf.float64, given.x.shape[:-1]
    )
    return function(
        given.x,
        temperature,
        given.mask,
        n_left_out=n - top_k,
        descending=given.descending,
        jit_compile=arguments.to_jit_compile(jit_compile) or False,
    )


@functools.partial(compiled_when_eager, unknown_axes=1)
def _soft_sort(values, temperature, mask, n_left_out, descending):
    plan = _plan(values, temperature, mask, descending)
    moved = tf.linalg.matvec(plan, tf.cast(values, plan.dtype), transpose_a=True)
    n = batching.static_or_dynamic(moved, -1)
    if descending or not n_left_out:
        kept = moved[..., : n - n_left_out]
    elif mask is None:
        kept = moved[..., n_left_out:]
    else:
        # The largest are the last places among those that exist.
        place = _count(mask, tf.int32) - (n - n_left_out) + tf.range(n - n_left_out)
        kept = tf.gather(moved, tf.maximum(place, 0), batch_dims=moved.shape.rank - 1)
        # What is missing stands at the end, as without `top_k`.
        kept = tf.where(place >= 0, kept, 0)
        order = tf.argsort(tf.cast(place < 0, tf.int32), axis=-1, stable=True)
        kept = tf.gather(kept, order, batch_dims=moved.shape.rank - 1)
    return tf.cast(kept, values.dtype)


@functools.partial(compiled_when_eager, unknown_axes=1)
def _soft_rank(values, temperature, mask, n_left_out, descending):
    plan = _plan(values, temperature, mask, descending)
    n = tf.shape(values)[-1]
    ranks = tf.range(n)
    if descending:
        ranks = tf.minimum(ranks, n - n_left_out - 1)
    else:
        missing = 0 if mask is None else n - _count(mask, tf.int32)
        ranks = tf.maximum(ranks - tf.maximum(n_left_out - missing, 0), 0)
    return tf.cast(tf.linalg.matvec(plan, tf.cast(ranks, plan.dtype)), values.dtype)


@functools.partial(compiled_when_eager, unknown_axes=1)
def _soft_argsort(values, temperature, mask, n_left_out, descending):
    return tf.cast(_plan(values, temperature, mask, descending), values.dtype)


def _count(mask, dtype):
    """How many values exist: `[..., 1]`."""
    return tf.reduce_sum(tf.cast(mask, dtype), -1, keepdims=True)


def _plan(values, temperature, mask, descending):
    """The soft permutation `[..., N, N]` that sorts the values."""
    dtype = arguments.compute_dtype(values.dtype)
    x = tf.cast(values, dtype)
    x = -x if descending else x
    # This keeps differences from overflowing, and changes nothing else.
    size = tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=-1, keepdims=True))
    x /= tf.where(size > 0, size, tf.ones_like(size))
    if mask is None:
        low, high = (
            f(x, axis=-1, keepdims=True) for f in (tf.reduce_min, tf.reduce_max)
        )
    else:
        # All values are from -1 to 1 here.
        low = tf.reduce_min(tf.where(mask, x, 1), axis=-1, keepdims=True)
        high = tf.reduce_max(tf.where(mask, x, -1), axis=-1, keepdims=True)
        x = tf.where(mask, x, high)
    span = high - low
    x = (x - low) / tf.where(span > 0, span, tf.ones_like(span))
    # Only the product in the square matters: the other terms are the same for a whole
    # row or column. The factor N keeps neighbours apart at the same temperature.
    n = batching.static_or_dynamic(x, -1)
    places = tf.range(n)
    count, places_exist = n, None
    if mask is not None:
        count = _count(mask, tf.int32)
        places_exist = places < count
    x *= 2 * tf.cast(count, dtype)
    anchors = tf.cast(tf.minimum(places / tf.maximum(count - 1, 1), 1), dtype)
    # Plain iterations are far from the limit at temperatures that sort.
    solution = solve_near(
        x[..., :, None] * anchors[..., None, :],
        -_duals_of_sorted(x, anchors),
        temperature,
        mask,
        places_exist,
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
    duals = -tf.cumsum(steps * (anchors[..., 1:] + anchors[..., :-1]) / 2, axis=-1)
    duals = tf.concat([tf.zeros_like(x[..., :1]), duals], axis=-1)
    return tf.gather(duals, tf.argsort(order, axis=-1), batch_dims=x.shape.rank - 1)
