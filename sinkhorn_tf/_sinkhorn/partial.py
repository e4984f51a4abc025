"""The Sinkhorn operator with dustbins, for items and positions without a partner."""

from __future__ import annotations

import functools
import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching, padding
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._sinkhorn.kernel_products import is_large
from sinkhorn_tf._sinkhorn.operator import sinkhorn


class PartialPlan(typing.NamedTuple):
    """The plan of `partial_sinkhorn`, and what it leaves unmatched.

    Attributes:
        plan: `[..., N, M]`, in the dtype of the logits.
        unmatched_rows: `[..., N]`, the mass of each item that goes to no position.
        unmatched_cols: `[..., M]`, the mass of each position that no item has.

    Example:
        >>> plan, unmatched_rows, unmatched_cols = st.partial_sinkhorn(
        ...     [[4.0, 0.0], [0.0, -4.0]], unmatched_score=1.0, temperature=0.5
        ... )
        >>> print(plan.numpy().round(2))
        [[0.94 0.01]
         [0.01 0.  ]]
        >>> print(unmatched_rows.numpy().round(2), unmatched_cols.numpy().round(2))
        [0.04 1.  ] [0.05 0.99]
    """

    plan: tf.Tensor
    unmatched_rows: tf.Tensor
    unmatched_cols: tf.Tensor


@takes_tensors("st.PartialSinkhorn")
def partial_sinkhorn(
    logits: TensorLike,
    unmatched_score: TensorLike,
    temperature: TensorLike = 1.0,
    n_iters: int = 20,
    *,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    tolerance: float | None = None,
    gradient: str = "unrolled",
    jit_compile: bool | None = None,
) -> PartialPlan:
    r"""The Sinkhorn operator with dustbins: items and positions can stay unmatched.

    It is `sinkhorn` of the (N + 1) x (M + 1) matrix with `unmatched_score` in its last
    row, last column and corner, for the masses :math:`(1, \dots, 1, M)` of the rows and
    :math:`(1, \dots, 1, N)` of the columns. Every position has a mass of 1 in `plan`
    and `unmatched_cols` together, and in the limit every item has in `plan` and
    `unmatched_rows`. As the temperature goes to 0 the limit goes to `partial_matching`:
    a pair is matched where it is worth more than the score.

    Args:
        logits: `[..., N, M]`, as in `sinkhorn`; `-inf` forbids a pair.
        unmatched_score: Finite number, or tensor that broadcasts against the batch
            dimensions; differentiable. It is divided by the temperature as the logits
            are.
        temperature, n_iters: As in `sinkhorn`.
        row_mask, col_mask: As in `sinkhorn`. The masses N and M are the numbers of
            items and positions that exist.
        tolerance: As in `sinkhorn`, where the dustbin's row counts too.
        gradient, jit_compile: As in `sinkhorn`.

    Returns:
        A `PartialPlan`, whose batch dimensions are those of `logits` broadcast with
        `unmatched_score`, `temperature` and the masks.

    Raises:
        TypeError: If an argument is of the wrong kind, such as a tensor of integers or a float
            for `n_iters`.
        ValueError: If a shape or value is out of range. A bad score or temperature
            that is known only inside a graph gives NaN instead.

    Example:
        >>> partial = st.partial_sinkhorn(
        ...     [[5.0, 0.0, 1.0], [0.0, 4.0, 1.0]], 2.0, temperature=0.5, n_iters=50
        ... )
        >>> print(partial.plan.numpy().round(2))
        [[0.93 0.   0.  ]
         [0.   0.83 0.01]]
        >>> print(partial.unmatched_rows.numpy().round(2))
        [0.06 0.16]
        >>> print(partial.unmatched_cols.numpy().round(2))
        [0.07 0.17 0.98]

    Reference:
        Sarlin et al. (2020), SuperGlue: Learning Feature Matching with Graph Neural
        Networks, section 3.2, whose temperature is 1.
    """
    logits = arguments.to_logits(logits)
    dtype = arguments.compute_dtype(logits.dtype)
    batch = logits.shape[:-2]
    tolerance, gradient = arguments.to_stopping(tolerance, gradient)
    return _partial_sinkhorn(
        logits,
        arguments.to_finite(unmatched_score, "unmatched_score", dtype, batch),
        arguments.to_positive(temperature, "temperature", dtype, batch),
        *arguments.to_masks(row_mask, col_mask, logits),
        n_iters=arguments.to_count(n_iters, "n_iters", 0),
        tolerance=tolerance,
        gradient=gradient,
        jit_compile=jit_compile,
    )


def _pad(logits, score, temperature, row_mask, col_mask):
    """The arguments of `_partial_sinkhorn`, of a size that eager calls share."""
    n, m = logits.shape[-2:]
    padded, *masks = padding.pad(logits, row_mask, col_mask, blocks=False)
    if padded is logits:
        return (logits, score, temperature, row_mask, col_mask), None

    def crop(result):
        plan, unmatched_rows, unmatched_cols = result
        return PartialPlan(
            plan[..., :n, :m], unmatched_rows[..., :n], unmatched_cols[..., :m]
        )

    return (padded, score, temperature, *masks), crop


@functools.partial(compiled_when_eager, pad=_pad, runs_plain=is_large)
def _partial_sinkhorn(
    logits, score, temperature, row_mask, col_mask, *, n_iters, tolerance, gradient
):
    x = tf.cast(logits, temperature.dtype)
    (x, score, t, *masks), batch = batching.flatten(
        x, (score, 0), (temperature, 0), (row_mask, 1), (col_mask, 1)
    )
    x, rows, cols = _with_dustbins(x, score, *masks)
    # What has no mass does not exist: it needs no mask.
    plan = sinkhorn(
        x,
        t,
        n_iters,
        row_marginals=rows,
        col_marginals=cols,
        tolerance=tolerance,
        gradient=gradient,
    )
    plan = tf.cast(plan, logits.dtype)
    return PartialPlan(
        batch.unflatten(plan[:, :-1, :-1]),
        batch.unflatten(plan[:, :-1, -1]),
        batch.unflatten(plan[:, -1, :-1], logits.shape[-1:]),
    )


def _with_dustbins(x, score, row_mask, col_mask):
    """The matrices `[B, N + 1, M + 1]`, and their masses `[B, N + 1]`, `[B, M + 1]`."""
    n, m = batching.sizes(x, 1)
    is_dustbin = (tf.range(n + 1) == n)[:, None] | (tf.range(m + 1) == m)
    x = tf.where(is_dustbin, score[:, None, None], tf.pad(x, [[0, 0], [0, 1], [0, 1]]))
    rows = (
        tf.ones_like(x[:, :-1, 0]) if row_mask is None else tf.cast(row_mask, x.dtype)
    )
    cols = (
        tf.ones_like(x[:, 0, :-1]) if col_mask is None else tf.cast(col_mask, x.dtype)
    )
    n_rows, n_cols = (tf.reduce_sum(each, 1, keepdims=True) for each in (rows, cols))
    return x, tf.concat([rows, n_cols], 1), tf.concat([cols, n_rows], 1)
