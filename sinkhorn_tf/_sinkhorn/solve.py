"""The limit of the Sinkhorn iterations, with its potentials and its error."""

from __future__ import annotations

import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._sinkhorn import newton
from sinkhorn_tf._sinkhorn.implicit_gradient import implicit_gradient


class SinkhornSolution(typing.NamedTuple):
    """The limit that `sinkhorn_solve` reached, its potentials and its error.

    `plan = exp((logits - row_potential_i - col_potential_j) / temperature)`.

    Example:
        >>> solution = st.sinkhorn_solve([[2.0, 0.0], [0.0, 0.0]])
        >>> log_plan = tf.math.log(solution.plan)
        >>> sums = solution.row_potential[:, None] + solution.col_potential[None, :]
        >>> print(np.round(log_plan + sums, 3).tolist())
        [[2.0, 0.0], [0.0, 0.0]]
    """

    plan: tf.Tensor
    """`[..., N, N]`, in the dtype of the logits."""
    row_potential: tf.Tensor
    """`[..., N]`, in the units and the dtype of the logits."""
    col_potential: tf.Tensor
    """`[..., N]`, with the same sum as `row_potential`."""
    n_iters: tf.Tensor
    """int32 `[...]`, the number of steps taken."""
    residual: tf.Tensor
    """float64 `[...]`, the largest error of a row or column sum of the float64 plan."""
    converged: tf.Tensor
    """bool `[...]`, whether the residual is within the tolerance."""


@takes_tensors()
def sinkhorn_solve(
    logits: TensorLike,
    temperature: TensorLike = 1.0,
    *,
    tolerance: float = 1e-6,
    max_iters: int = 100,
    jit_compile: bool | None = None,
) -> SinkhornSolution:
    """The limit `S(X / t)` of the Sinkhorn operator, and the potentials behind it.

    `sinkhorn` takes a given number of iterations, and a low temperature needs very
    many. `sinkhorn_solve` takes Newton steps along a path of falling temperatures,
    10 to 30 of them as a rule, in float64 whatever the dtype of the logits.

    The derivative of the plan and of both potentials is that of the limit, by the
    equations of its marginals, taken at the plan that was reached. It can be
    differentiated again.

    Args:
        logits: `[..., N, N]`, the score of putting item i at position j, float16,
            bfloat16, float32 or float64. `-inf` forbids a pair; where that leaves no
            permutation, `converged` is False. Allowed pairs that are part of no
            permutation have the limit 0: their potentials grow as the tolerance
            falls. An example with NaN or +inf gets NaN for the plan, potentials and
            residual, and a zero gradient; the other examples are not affected.
        temperature: Positive number, scalar tensor, or tensor that broadcasts
            against the batch dimensions; differentiable.
        tolerance: Number > 0: the largest error of a row or column sum.
        max_iters: Python int >= 1, the largest number of steps of an example.
        jit_compile: True compiles by XLA. None and False run plain ops: XLA on a CPU
            expands the Cholesky factorisation into loops many times slower.

    Returns:
        A `SinkhornSolution`. Its batch shape is that of `logits` broadcast with
        `temperature`. Every number is finite except in an example with NaN or +inf.

    Raises:
        TypeError: If an argument is of the wrong kind, such as integer logits or a float
            for `max_iters`.
        ValueError: If a shape or value is out of range. A bad temperature that is
            known only inside a graph gives NaN instead.

    Example:
        >>> logits = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
        >>> solution = st.sinkhorn_solve(logits, temperature=0.5)
        >>> print(solution.plan.numpy().round(3))
        [[0.965 0.018 0.018]
         [0.018 0.965 0.018]
         [0.018 0.018 0.965]]
        >>> bool(solution.converged)
        True

    Reference:
        Mena et al. (2018), Learning Latent Permutations with Gumbel-Sinkhorn Networks,
        theorem 1, and Weed (2018), An explicit analysis of the entropic penalty in
        linear programming, whose theorem 2 gives instances that are slow for
        Sinkhorn's iterations.
    """
    logits = arguments.to_logits(logits)
    temperature = arguments.to_positive(
        temperature, "temperature", tf.float64, logits.shape[:-2]
    )
    return _sinkhorn_solve(
        logits,
        temperature,
        tolerance=arguments.to_tolerance(tolerance, "tolerance"),
        max_iters=arguments.to_count(max_iters, "max_iters", 1),
        jit_compile=arguments.to_jit_compile(jit_compile) or False,
    )


@compiled_when_eager
def _sinkhorn_solve(logits, temperature, *, tolerance, max_iters):
    (x, t), batch = batching.flatten(logits, (temperature, 0))
    x = tf.cast(x, tf.float64)
    invalid = batching.find_invalid(x) | tf.math.is_nan(t)
    x = batching.where(invalid, tf.zeros_like(x), x)
    # The bound keeps differences from overflowing.
    x = tf.where(x == -math.inf, x, tf.clip_by_value(x, -1e300, 1e300))
    t = tf.where(invalid, tf.ones_like(t), t)
    solution = _solve_valid(x, t, tolerance, max_iters)

    def finish(result, dtype):
        # A potential may exceed the largest float16.
        result = tf.saturate_cast(result, dtype)
        result = batching.where(invalid, tf.constant(math.nan, dtype), result)
        return batch.unflatten(result)

    return SinkhornSolution(
        plan=finish(solution.plan, logits.dtype),
        row_potential=finish(solution.row_potential, logits.dtype),
        col_potential=finish(solution.col_potential, logits.dtype),
        n_iters=batch.unflatten(solution.n_iters),
        residual=finish(solution.residual, tf.float64),
        converged=batch.unflatten(solution.converged & ~invalid),
    )


def _solve_valid(x, t, tolerance, max_iters):
    """The solution for float64 `x` `[B, N, N]` and `t` `[B]` without NaN or +inf."""
    result = newton.solve(x, t, tolerance, max_iters)
    result = tf.nest.map_structure(tf.stop_gradient, result)
    # The potentials are the duals with the other sign, and the same sum.
    constant = tf.reduce_mean(result.row_dual - result.col_dual, 1, keepdims=True) / 2
    residual = tf.maximum(
        _largest_error(tf.reduce_sum(result.plan, 1)),
        _largest_error(tf.reduce_sum(result.plan, 2)),
    )
    plan, row_potential, col_potential = _differentiable(
        x, t, result.plan, constant - result.row_dual, -constant - result.col_dual
    )
    return SinkhornSolution(
        plan=plan,
        row_potential=row_potential,
        col_potential=col_potential,
        n_iters=result.n_iters,
        residual=residual,
        converged=(residual <= tolerance) & ~result.infeasible,
    )


def _largest_error(sums):
    return tf.reduce_max(tf.abs(sums - 1), 1)


@tf.custom_gradient
def _differentiable(x, t, plan, row_potential, col_potential):
    """The three results unchanged, with their implicit derivatives by `x` and `t`."""

    def grad(plan_bar, row_bar, col_bar):
        # The plan must be a function of x and t again, for the derivative of this
        # derivative. That may be taken in another graph, which sees only copies made in
        # this one.
        here = [tf.identity(v) for v in (x, t, plan, row_potential, col_potential)]
        p, _, _ = _differentiable(*here)
        # plan = exp(x / t + a + b) with a = -row_potential / t, b = -col_potential / t.
        scale = -t[:, None]
        z_bar = implicit_gradient(p, plan_bar, scale * row_bar, scale * col_bar)
        # t acts through z = x / t, and through the factor of row_potential = -t * a.
        # As the row sums of z_bar are -a_bar (and the columns alike), both parts
        # together are a product with z + a + b = log_plan.
        log_plan = tf.math.log(tf.where(p > 0, p, tf.ones_like(p)))
        t_bar = -tf.reduce_sum(z_bar * log_plan, [1, 2]) / t
        return z_bar / t[:, None, None], t_bar, None, None, None

    return (plan, row_potential, col_potential), grad
