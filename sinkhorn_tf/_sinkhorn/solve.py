"""The limit of the Sinkhorn iterations, with its potentials and its error."""

import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments as _arguments
from sinkhorn_tf._core import batching as _batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._sinkhorn import newton
from sinkhorn_tf._sinkhorn.implicit_gradient import implicit_gradient


class SinkhornSolution(typing.NamedTuple):
    """What `sinkhorn_solve` found.

    `plan = exp((logits - row_potential_i - col_potential_j) / temperature)`.
    """

    plan: tf.Tensor
    """`[..., N, N]`, in the dtype of the logits."""
    row_potential: tf.Tensor
    """`[..., N]`, in the units and the dtype of the logits."""
    col_potential: tf.Tensor
    """`[..., N]`, of the same sum as `row_potential`."""
    n_iters: tf.Tensor
    """int32 `[...]`, the steps that were taken."""
    residual: tf.Tensor
    """float64 `[...]`, the largest error of a row or column sum of the float64 plan."""
    converged: tf.Tensor
    """bool `[...]`, whether the residual is within the tolerance."""


@_arguments.takes_tensors()
def sinkhorn_solve(
    logits: TensorLike,
    temperature: TensorLike = 1.0,
    *,
    tolerance: float = 1e-6,
    max_iters: int = 100,
    jit_compile: bool | None = None,
) -> SinkhornSolution:
    """The limit `S(X / t)` of the Sinkhorn operator, and the potentials behind it.

    `sinkhorn` takes a given number of iterations, of which a low temperature needs
    very many. This one takes Newton steps along a path of falling temperatures,
    10 to 30 of them as a rule, in float64 whatever the dtype of the logits.

    The derivative of the plan and of both potentials is that of the limit, by the
    equations of its marginals, taken at the plan that was reached. It can be
    differentiated again.

    Args:
        logits: `[..., N, N]`, score of putting item i at position j, float16,
            bfloat16, float32 or float64. `-inf` forbids a pair; where that leaves no
            permutation, `converged` is False. Allowed pairs that are part of no
            permutation have the limit 0: their potentials grow as the tolerance
            falls. An example with NaN or +inf gets NaN for the plan, potentials and
            residual, and a zero gradient; its neighbours are not affected.
        temperature: Positive number, scalar tensor, or tensor that broadcasts
            against the batch dimensions; differentiable.
        tolerance: Number > 0: the largest error of a row or column sum.
        max_iters: Python int >= 1, the most steps of an example.
        jit_compile: True compiles by XLA. None and False run plain ops: XLA on a CPU
            expands the Cholesky factorisation into loops many times slower.

    Returns:
        A `SinkhornSolution`. Its batch shape is that of `logits` broadcast with
        `temperature`. Every number is finite but for examples with NaN or +inf.

    Raises:
        TypeError: If an argument is of the wrong kind, such as integer logits or a float
            for `max_iters`.
        ValueError: If a shape or value is out of range. A bad temperature that is
            known only inside a graph gives NaN instead.

    Reference:
        Mena et al. 2017, Learning Latent Permutations with Gumbel-Sinkhorn Networks,
        theorem 1, and Weed 2018, An explicit analysis of the entropic penalty in
        linear programming, whose theorem 2 gives instances that are slow for
        Sinkhorn's iterations.
    """
    logits = _arguments.to_logits(logits)
    temperature = _arguments.to_positive(
        temperature, "temperature", tf.float64, logits.shape[:-2]
    )
    return _sinkhorn_solve(
        logits,
        temperature,
        tolerance=_arguments.to_tolerance(tolerance, "tolerance"),
        max_iters=_arguments.to_count(max_iters, "max_iters", 1),
        jit_compile=_arguments.to_jit_compile(jit_compile) or False,
    )


@compiled_when_eager
def _sinkhorn_solve(logits, temperature, *, tolerance, max_iters):
    x, t, batch_shape, static_batch = _batching.flatten(logits, temperature)
    x = tf.cast(x, tf.float64)

    poisoned = tf.reduce_any(tf.math.is_nan(x) | (x == math.inf), axis=[1, 2])
    poisoned |= tf.math.is_nan(t)
    x = tf.where(poisoned[:, None, None], tf.zeros_like(x), x)
    # So that no difference overflows.
    x = tf.where(x == -math.inf, x, tf.clip_by_value(x, -1e300, 1e300))
    t = tf.where(poisoned, tf.ones_like(t), t)
    solution = _solution(x, t, tolerance, max_iters)

    static_shape = static_batch.concatenate(logits.shape[-2:])

    def with_batch_shape(tensor):
        inner = tf.shape(tensor)[1:]
        tensor = tf.reshape(tensor, tf.concat([batch_shape, inner], 0))
        tensor.set_shape(static_shape[: tensor.shape.rank])
        return tensor

    def number(tensor, dtype):
        rank = tensor.shape.rank
        # Saturates: a potential may exceed what float16 can hold.
        tensor = with_batch_shape(tf.saturate_cast(tensor, dtype))
        mask = tf.reshape(poisoned, tf.concat([batch_shape, [1] * (rank - 1)], 0))
        return tf.where(mask, tf.constant(math.nan, dtype), tensor)

    return SinkhornSolution(
        plan=number(solution.plan, logits.dtype),
        row_potential=number(solution.row_potential, logits.dtype),
        col_potential=number(solution.col_potential, logits.dtype),
        n_iters=with_batch_shape(solution.n_iters),
        residual=number(solution.residual, tf.float64),
        converged=with_batch_shape(solution.converged & ~poisoned),
    )


def _solution(x, t, tolerance, max_iters):
    """The solution for clean float64 `x` `[B, N, N]` and `t` `[B]`."""
    result = newton.solve(x, t, tolerance, max_iters)
    result = tf.nest.map_structure(tf.stop_gradient, result)
    # The potentials are the duals with the other sign, and the same sum.
    constant = tf.reduce_mean(result.row_dual - result.col_dual, 1, keepdims=True) / 2
    sums = (tf.reduce_sum(result.plan, axis) for axis in (1, 2))
    errors = [tf.reduce_max(tf.abs(sums - 1), 1) for sums in sums]
    residual = tf.maximum(*errors)
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


@tf.custom_gradient
def _differentiable(x, t, plan, row_potential, col_potential):
    """The three results unchanged, with their implicit derivatives by `x` and `t`."""

    def grad(plan_bar, row_bar, col_bar):
        # Functions of x and t again, for the derivatives of this derivative. These
        # may be taken in another graph, which sees only copies made in this one.
        here = [tf.identity(v) for v in (x, t, plan, row_potential, col_potential)]
        p, _, _ = _differentiable(*here)
        # plan = exp(x / t + a + b) with a = -row_potential / t, b alike.
        scale = -t[:, None]
        z_bar = implicit_gradient(p, plan_bar, scale * row_bar, scale * col_bar)
        # z_bar * z, less what z_bar's sums make of a and b, which the potentials'
        # own dependence on t cancels.
        log_plan = tf.math.log(tf.where(p > 0, p, tf.ones_like(p)))
        t_bar = -tf.reduce_sum(z_bar * log_plan, [1, 2]) / t
        return z_bar / t[:, None, None], t_bar, None, None, None

    return (plan, row_potential, col_potential), grad
