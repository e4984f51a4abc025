"""Rounding of almost doubly stochastic matrices to exact ones."""

from __future__ import annotations

import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.masses import to_marginals
from sinkhorn_tf._core.refusals import takes_tensors


@takes_tensors()
def round_to_doubly_stochastic(
    plan: TensorLike,
    *,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    row_marginals: TensorLike | None = None,
    col_marginals: TensorLike | None = None,
) -> tf.Tensor:
    """Moves a plan to one with exact sums of rows and columns.

    Rows, then columns that are too heavy are scaled down, and what is missing is spread in
    proportion to what each row and column lacks. The result differs from the plan by at
    most twice the errors of the plan's sums, in the sum of magnitudes. For the nearest
    permutation in the Frobenius norm call `matching(plan)` instead.

    Args:
        plan: `[..., N, M]`, numbers >= 0, such as the result of `sinkhorn` after few
            iterations. As many items as positions must exist, unless both marginals are
            given.
        row_mask: bool `[..., N]`, False where an item does not exist; or None.
        col_mask: bool `[..., M]`, the same for positions.
        row_marginals: Numbers >= 0 `[..., N]`, the masses of the rows; None for 1 each.
        col_marginals: Numbers >= 0 `[..., M]`, the masses of the columns, of the same
            total; None for 1 each.

    Returns:
        `[..., N, M]` in the dtype of `plan`, 0 where something does not exist. Its sums
        are exact up to the rounding of that dtype; the computation is in float64. It is
        differentiable almost everywhere. Where the plan is negative or not finite, or the
        totals differ, an example of a graph is NaN.

    Raises:
        TypeError, ValueError: If dtype, shape or a value that is known is out of range.

    Example:
        >>> plan = st.sinkhorn([[4.0, 0.0], [1.0, 0.0]], n_iters=1)
        >>> print(tf.reduce_sum(plan, axis=1).numpy().round(2))
        [0.64 1.36]
        >>> exact = st.distributions.round_to_doubly_stochastic(plan)
        >>> print(tf.reduce_sum(exact, axis=1).numpy().round(5))
        [1. 1.]
        >>> print(tf.reduce_sum(exact, axis=0).numpy().round(5))
        [1. 1.]

    Reference:
        Altschuler, Weed and Rigollet (2017), Near-linear time approximation algorithms
        for optimal transport via Sinkhorn iteration, algorithm 2.
    """
    plan = arguments.to_logits(plan, name="plan")
    masks = arguments.to_masks(row_mask, col_mask, plan)
    x = tf.cast(plan, tf.float64)
    marginals = to_marginals(row_marginals, col_marginals, plan, *masks, tf.float64)
    flat, batch = batching.flatten(x, *((each, 1) for each in (*masks, *marginals)))
    x: typing.Any = flat[0]
    row_mask, col_mask, rows, cols = flat[1:]
    rows = tf.ones_like(x[:, :, 0]) if rows is None else rows
    cols = tf.ones_like(x[:, 0, :]) if cols is None else cols
    if row_mask is not None:
        rows = tf.where(row_mask, rows, 0)
        x = tf.where(row_mask[:, :, None], x, 0)
    if col_mask is not None:
        cols = tf.where(col_mask, cols, 0)
        x = tf.where(col_mask[:, None, :], x, 0)
    totals = tf.reduce_sum(rows, 1), tf.reduce_sum(cols, 1)
    agree = abs(totals[0] - totals[1]) <= 1e-3 * (totals[0] + totals[1])
    valid = tf.reduce_all((x >= 0) & (x < float("inf")), axis=[1, 2])
    _check_known(valid, agree, totals, plan)
    good = valid & agree
    # A bad example must not reach the derivatives of what the others share.
    result = round_to_marginals(batching.where(good, x, tf.zeros_like(x)), rows, cols)
    nan = tf.constant(float("nan"), tf.float64)
    return tf.cast(batch.unflatten(batching.where(good, result, nan)), plan.dtype)


def _check_known(valid, agree, totals, plan):
    """Raises ValueError for examples that are known to be bad."""
    valid, agree = tf.get_static_value(valid), tf.get_static_value(agree)
    if valid is not None and not valid.all():
        raise ValueError(
            "plan must be finite numbers >= 0. Received: a plan of shape "
            f"{tuple(plan.shape)} with others in {int((~valid).sum())} examples"
        )
    if agree is not None and not agree.all():
        rows, cols = (tf.get_static_value(total) for total in totals)
        first = int(agree.argmin())
        raise ValueError(
            "plan must have rows and columns of the same total mass: as many of both, or "
            "row_marginals and col_marginals that agree. Received: a plan of shape "
            f"{tuple(plan.shape)} with masses {rows[first]:g} and {cols[first]:g}"
        )


def round_to_marginals(plan, rows, cols):
    """Algorithm 2 of Altschuler et al. (2017).

    Args:
        plan: float64 `[B, N, M]`, numbers >= 0.
        rows, cols: float64 `[B, N]` and `[B, M]`, masses of the same total.

    Returns:
        float64 `[B, N, M]`.
    """
    plan *= _shrink(rows, tf.reduce_sum(plan, 2))[:, :, None]
    plan *= _shrink(cols, tf.reduce_sum(plan, 1))[:, None, :]
    row_lack = tf.maximum(rows - tf.reduce_sum(plan, 2), 0)
    col_lack = tf.maximum(cols - tf.reduce_sum(plan, 1), 0)
    lack = tf.reduce_sum(col_lack, 1)
    share = tf.math.divide_no_nan(col_lack, lack[:, None])
    return plan + row_lack[:, :, None] * share[:, None, :]


def _shrink(masses, sums):
    """What takes sums that are too large to the masses, and leaves the others."""
    is_larger = sums > masses
    return tf.where(is_larger, masses / tf.where(is_larger, sums, 1), 1)
