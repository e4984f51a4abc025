"""Values at ranks: the k largest, quantiles, the median."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.conversion import known_array, to_numbers
from sinkhorn_tf._core.refusals import shown, takes_tensors
from sinkhorn_tf.sorting._arguments import to_sortable
from sinkhorn_tf.sorting.optimal_transport import soft_sort


@takes_tensors()
def soft_top_k_values(
    values: TensorLike,
    k: int,
    temperature: TensorLike = 0.01,
    *,
    axis: int = -1,
    direction: str = "ASCENDING",
    mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    """The k largest values, softly: `soft_sort` with `top_k=k`.

    Args:
        values, temperature, axis, direction, mask, jit_compile: As in `soft_sort`.
        k: Python int from 1 to N.

    Returns:
        `[..., k]`, in order; 0 beyond the number of values that exist.

    Raises:
        TypeError, ValueError: As `soft_sort`.

    Example:
        >>> print(st.sorting.soft_top_k_values([3.0, 1.0, 2.0], 2).numpy().round(2))
        [2. 3.]

    Reference:
        As `soft_sort`.
    """
    return soft_sort(
        values,
        temperature,
        top_k=k,
        axis=axis,
        direction=direction,
        mask=mask,
        jit_compile=jit_compile,
    )


@takes_tensors()
def soft_quantile(
    values: TensorLike,
    q: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    axis: int = -1,
    mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    """Quantiles of softly sorted values, with linear interpolation.

    As the temperature goes to 0 they become those of `numpy.quantile`.

    Args:
        values, temperature, axis, mask, jit_compile: As in `soft_sort`.
        q: Number from 0 to 1, or a list `[k]` of them; differentiable.

    Returns:
        `values` without the axis for a number, with k instead of N there for a list. 0
        where no value exists.

    Raises:
        TypeError, ValueError: As `soft_sort`, and for `q`.

    Example:
        >>> quartiles = st.sorting.soft_quantile([5.0, 1.0, 3.0, 2.0, 4.0], [0.25, 0.75])
        >>> print(quartiles.numpy().round(2))
        [2. 4.]

    Reference:
        Cuturi et al. (2019), Differentiable ranking and sorting using optimal transport,
        section 4.
    """
    given = to_sortable(values, axis, "ASCENDING", mask)
    levels = to_numbers(q, "q", given.x.dtype)
    known = known_array(q, levels)
    if known is not None and not ((known >= 0) & (known <= 1)).all():
        raise ValueError(f"q must be from 0 to 1. Received: q={shown(q)}")
    if levels.shape.rank not in (0, 1):
        raise ValueError(
            f"q must be a number or a list of them. Received: q.shape={levels.shape}"
        )
    ordered = soft_sort(given.x, temperature, mask=given.mask, jit_compile=jit_compile)
    n = ordered.shape[-1]
    count = tf.constant([n], ordered.dtype)
    if given.mask is not None:
        count = tf.reduce_sum(tf.cast(given.mask, ordered.dtype), -1, keepdims=True)
    place = tf.maximum(tf.reshape(levels, [-1]) * (count - 1), 0)
    # Each place is between two positions, with weights that are linear in it.
    distance = tf.abs(place[..., None] - tf.range(n, dtype=ordered.dtype))
    weights = tf.maximum(1 - distance, 0)
    result = tf.linalg.matvec(weights, ordered)
    if levels.shape.rank == 0:
        return tf.squeeze(result, -1)
    return given.back(result)


@takes_tensors()
def soft_median(
    values: TensorLike,
    temperature: TensorLike = 0.01,
    *,
    axis: int = -1,
    mask: TensorLike | None = None,
    jit_compile: bool | None = None,
) -> tf.Tensor:
    """The median of softly sorted values: `soft_quantile` at 1/2.

    Args:
        values, temperature, axis, mask, jit_compile: As in `soft_sort`.

    Returns:
        `values` without the axis.

    Raises:
        TypeError, ValueError: As `soft_sort`.

    Example:
        >>> print(st.sorting.soft_median([5.0, 1.0, 3.0]).numpy().round(2))
        3.0

    Reference:
        As `soft_quantile`.
    """
    return soft_quantile(
        values,
        np.float64(0.5),
        temperature,
        axis=axis,
        mask=mask,
        jit_compile=jit_compile,
    )
