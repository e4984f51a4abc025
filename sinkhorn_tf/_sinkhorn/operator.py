"""The Sinkhorn operator: repeated normalisation of rows and columns.

It is that of Mena et al. (2018), eq. 1.
"""

from __future__ import annotations

import functools
import math

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching, padding
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.masses import to_marginals
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._sinkhorn import iterations
from sinkhorn_tf._sinkhorn.implicit_gradient import implicit_gradient
from sinkhorn_tf._sinkhorn.kernel_products import is_large, is_thin
from sinkhorn_tf._sinkhorn.marginals import Sides, extend
from sinkhorn_tf._sinkhorn.unrolled_gradient import unrolled_gradient


@takes_tensors("st.SinkhornLayer")
def sinkhorn(
    logits: TensorLike,
    temperature: TensorLike = 1.0,
    n_iters: int = 20,
    *,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    row_marginals: TensorLike | None = None,
    col_marginals: TensorLike | None = None,
    tolerance: float | None = None,
    gradient: str = "unrolled",
    jit_compile: bool | None = None,
) -> tf.Tensor:
    r"""The Sinkhorn operator :math:`S^L(X / t)`: a differentiable analogue of a permutation.

    :math:`S^0(X) = \exp(X)` and :math:`S^l(X) = T_c(T_r(S^{l-1}(X)))`: rows are
    normalised first, columns last, so that columns sum to 1 and rows do in the limit.
    As the temperature goes to 0, the limit goes to the matching of the logits.

    Of N items and M positions the smaller set is placed whole in the limit, and each
    member of the larger set at most once. The iterations are those of a matrix with a
    slack: one more row whose sum is M - N instead of 1 where N < M, or one more column
    whose sum is N - M where N > M. The slack's entries in :math:`X / t` are 0, and the
    plan leaves it out. As t goes to 0 the limit goes to the rectangular assignment.

    After L iterations the columns sum to 1 if N >= M, and to at most 1 if N < M. The rows
    have their sums only in the limit: before it they may sum to more than 1 if N > M (as
    to 1.08 after 20 iterations of 10 x 5 logits at t = 0.1), and to other numbers than 1
    if N <= M. `tolerance` and `sinkhorn_solve` come closer. A constant that is added to
    all logits changes :math:`S^L` if N > M, but not the limit.

    An iteration takes two matrix-vector products, stabilised so that logits of any
    spread give finite plans and gradients. float16 and bfloat16 are computed in
    float32.

    Args:
        logits: `[..., N, M]`, the score of putting item i at position j, float16,
            bfloat16, float32 or float64. `-inf` forbids a pair. An example with NaN
            or +inf gets a plan of NaN and a zero gradient; the other examples of the
            batch are not affected.
        temperature: Positive number, scalar tensor, or tensor that broadcasts
            against the batch dimensions; differentiable.
        n_iters: Python int >= 0, the number of iterations L, or their largest number
            if a tolerance is given. 0 gives :math:`\exp(X / t)`.
        row_mask: bool `[..., N]`, False for an item that does not exist, or None. The
            plan is that of the submatrix of what exists, and 0 elsewhere, with a zero
            gradient, whatever stands in the logits there. Each example has its own
            mask; the batch dimensions broadcast.
        col_mask: bool `[..., M]`, the same for positions.
        row_marginals: Numbers >= 0 `[..., N]`, the masses of the items, or None;
            differentiable. Rows sum to them in the limit. There is no slack row or column
            then: if the masses of one side alone are given, those of the other side are
            uniform with the same total. A mass of 0 is an item that does not exist. A
            common factor of all row masses changes nothing.
        col_marginals: Numbers >= 0 `[..., M]`, the masses of the positions. Columns sum
            to them after each iteration. If the masses of both sides are given, their
            totals, without what a mask leaves out, agree to one part in a thousand.
        tolerance: None for exactly `n_iters` iterations. Otherwise a number > 0:
            each example stops after the first iteration whose row sums are all
            within `tolerance` of their masses: 1 if none are given, and M - N for a
            slack row.
        gradient: "unrolled", the derivative of the iterations that were taken, or
            "implicit", that of the limit, taken at the plan that was reached.
        jit_compile: None compiles eager calls by XLA and inlines plain ops inside a
            trace; True compiles always, False never. On a CPU, eager calls where N and M are
            at least 512 run as a plain graph, which uses all cores. A compiled eager call of a size that
            few have is padded to one that many calls share, so that sizes 5 to 24 take
            three compilations.

    Returns:
        The plan `[..., N, M]` of the dtype of `logits`, whose batch dimensions are
        broadcast with those of `temperature` and the masks.

    Raises:
        TypeError: If an argument is of the wrong kind, such as a tensor of integers or a float
            for `n_iters`.
        ValueError: If a shape or value is out of range. A bad temperature or mass that
            is known only inside a graph gives NaN instead.

    Example:
        >>> plan = st.sinkhorn([[3.0, 0.0], [0.0, 3.0]], temperature=1.0)
        >>> print(plan.numpy().round(2))
        [[0.95 0.05]
         [0.05 0.95]]

        Two items for three positions, and a third item that does not exist:

        >>> logits = [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]]
        >>> plan = st.sinkhorn(logits, row_mask=[True, True, False])
        >>> print(plan.numpy().round(2))
        [[0.8  0.04 0.16]
         [0.04 0.8  0.16]
         [0.   0.   0.  ]]

        Four items for two positions that take the same load:

        >>> logits = [[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 0.0]]
        >>> plan = st.sinkhorn(logits, row_marginals=[1.0, 1.0, 1.0, 1.0])
        >>> print(plan.numpy().round(2))
        [[0.61 0.39]
         [0.61 0.39]
         [0.61 0.39]
         [0.17 0.83]]
        >>> print(plan.numpy().sum(axis=0).round(2))
        [2. 2.]

    Reference:
        Mena et al. (2018), Learning Latent Permutations with Gumbel-Sinkhorn Networks,
        eq. 1 and theorem 1.
    """
    logits = arguments.to_logits(logits)
    dtype = arguments.compute_dtype(logits.dtype)
    batch = logits.shape[:-2]
    temperature = arguments.to_positive(temperature, "temperature", dtype, batch)
    n_iters = arguments.to_count(n_iters, "n_iters", 0)
    tolerance, gradient = arguments.to_stopping(tolerance, gradient)
    masks = arguments.to_masks(row_mask, col_mask, logits)
    marginals = to_marginals(row_marginals, col_marginals, logits, *masks, dtype)
    return _sinkhorn(
        logits,
        temperature,
        *masks,
        *marginals,
        n_iters=n_iters,
        tolerance=tolerance,
        gradient=gradient,
        jit_compile=jit_compile,
    )


def _pad(logits, temperature, row_mask, col_mask, *marginals):
    """The arguments of `_sinkhorn`, of a size that eager calls share."""
    n, m = logits.shape[-2:]
    blocks = all(each is None for each in marginals)
    padded, *masks = padding.pad(logits, row_mask, col_mask, blocks)
    if padded is logits:
        return (logits, temperature, row_mask, col_mask, *marginals), None
    marginals = map(padding.pad_members, marginals, padded.shape[-2:])
    return (padded, temperature, *masks, *marginals), lambda plan: plan[..., :n, :m]


@functools.partial(compiled_when_eager, pad=_pad, runs_plain=is_large)
def _sinkhorn(logits, temperature, *members, n_iters, tolerance, gradient):
    x = tf.cast(logits, temperature.dtype)
    (x, t, *members), batch = batching.flatten(
        x, (temperature, 0), *((each, 1) for each in members)
    )
    problem = extend(x, *members)
    if n_iters == 0:
        plan = _exponential(problem.x, t)
    else:
        plan = _iterated(problem, t, n_iters, tolerance, gradient)
    return tf.cast(batch.unflatten(problem.restrict(plan)), logits.dtype)


def _exponential(x, t):
    """`exp(x / t)`; NaN throughout an example with NaN or +inf."""
    invalid = batching.find_invalid(x) | tf.math.is_nan(t)
    # A product of 0 and infinity in the gradient would be NaN.
    no_entry = invalid[:, None, None] | (x == -math.inf)
    zeros = tf.zeros_like(x)
    t = batching.where(invalid, tf.ones_like(x), t[:, None, None])
    plan = tf.where(no_entry, zeros, tf.exp(tf.where(no_entry, zeros, x) / t))
    return batching.where(invalid, tf.constant(math.nan, x.dtype), plan)


def _iterated(problem, t, n_iters, tolerance, gradient):
    """`S^l(x / t)` `[B, N', M']` of a `Problem`, for `t` `[B]` and `n_iters` >= 1."""
    sides, scale = problem.sides(), problem.scale
    if tolerance is not None and scale is not None:
        tolerance /= scale[:, None, None]

    @tf.custom_gradient
    def operator(x, t, *given):
        # Masses that are not given are constants.
        known = Sides(*given, are_given=True) if given else sides
        z = _scaled(x, t)
        unrolls = gradient == "unrolled"
        plan, backward = _transposed_if_thin(z, known, n_iters, tolerance, unrolls)

        def grad(upstream):
            # A large matrix is made again: none is kept but the plan.
            scaled = _scaled(x, t) if is_large(x) else z
            if unrolls:
                z_bar, *mass_bars = backward(scaled, upstream)
            else:
                z_bar, *mass_bars = implicit_gradient(plan, upstream)
            # The gradient is 0 in an invalid example, and for a forbidden pair.
            invalid = tf.math.is_nan(plan[:, :1, :1])
            mass_bars = (
                tf.where(invalid, tf.zeros_like(bar), bar)
                for bar in mass_bars[: len(given)]
            )
            return *_through_scaling(scaled, t, z_bar, invalid), *mass_bars

        return plan, grad

    if scale is None:
        return operator(problem.x, t)
    return operator(problem.x, t, sides.rows, sides.cols) * scale[:, None, None]


def _transposed_if_thin(z, sides, n_iters, tolerance, keeps):
    """The plan, and its derivative if it `keeps` the iterations.

    Matrices of few columns are transposed meanwhile.
    """
    flips = is_thin(z)
    flip = tf.linalg.matrix_transpose if flips else lambda x: x
    sides = sides.transpose() if flips else sides
    plan, trajectory = iterations.iterate(
        flip(z), sides, n_iters, tolerance, keeps=keeps
    )

    def backward(z, upstream):
        bars = unrolled_gradient(flip(z), sides, plan, trajectory, flip(upstream))
        return tuple(map(flip, bars))

    return flip(plan), backward


@tf.custom_gradient
def _scaled(x, t):
    """`x / t` less the largest of each row, which S^l, l >= 1, does not change with."""
    # Taking the offset out before the division keeps digits.
    row_max = tf.reduce_max(x, axis=2, keepdims=True)
    empty = row_max == -math.inf
    offset = tf.stop_gradient(tf.where(empty, tf.zeros_like(row_max), row_max))
    # The derivative below is a part of second derivatives. That of a plain division
    # multiplies 0 and infinity at a forbidden pair: even unused it would give NaN.
    z = (x - offset) / tf.stop_gradient(t)[:, None, None]
    # A pair that overflows to -inf is not forbidden, only far below the rest. NaN and
    # +inf make a row of NaN, which the first iteration spreads over the example; no
    # comparison is true for it.
    lowest = _lowest(x.dtype)

    def guard():
        return tf.where(z < lowest, tf.minimum(x, lowest), z)

    # To look takes a fifth of the time at N = 2048.
    guarded = (
        tf.cond(tf.reduce_all(z >= lowest), lambda: z, guard)
        if is_large(x)
        else guard()
    )

    def grad(z_bar):
        invalid = batching.find_invalid(guarded)[:, None, None]
        return _through_scaling(guarded, t, z_bar, invalid)

    return guarded, grad


def _through_scaling(z, t, z_bar, invalid):
    """The gradients by `x` and `t` of `z = x / t`: 0 in an invalid example.

    Args:
        z, z_bar: `[B, N, M]`, and the gradient with respect to it, 0 for a forbidden pair.
        t: `[B]`.
        invalid: bool `[B, 1, 1]`.
    """
    rate = tf.where(invalid, tf.zeros_like(invalid, t.dtype), 1 / t[:, None, None])
    x_bar = tf.math.multiply_no_nan(z_bar, rate)
    # Infinity would make the derivative of this by `x_bar` infinite.
    finite_z = tf.maximum(z, _lowest(z.dtype))
    t_bar = tf.math.multiply_no_nan(finite_z, x_bar)
    return x_bar, -tf.reduce_sum(t_bar, axis=[1, 2])


def _lowest(dtype):
    """A number far below all scaled logits, that sums of N do not carry to infinity."""
    return tf.constant(-1e-6 * dtype.max, dtype)
