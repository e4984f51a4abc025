"""The limit of the Sinkhorn iterations, with its potentials and its error."""

from __future__ import annotations

import math
import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.compilation import compiled_when_eager
from sinkhorn_tf._core.masses import to_marginals
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._sinkhorn import newton
from sinkhorn_tf._sinkhorn.implicit_gradient import implicit_gradient
from sinkhorn_tf._sinkhorn.marginals import extend

_TOLERANCE, _MAX_ITERS = 1e-6, 100


class SinkhornSolution(typing.NamedTuple):
    r"""The limit that `sinkhorn_solve` reached, its potentials and its error.

    The plan is :math:`P_{ij} = \exp((X_{ij} - f_i - g_j) / t)` for logits X, row
    potentials f and column potentials g at temperature t.

    Where n items and m positions exist, the potentials of a square, n = m, have the
    same sum. A rectangle has a slack of logit 0 and potential 0, so that the potentials
    of the longer side are at least 0: for n > m the probability that item i has no
    position, :math:`1 - \sum_j P_{ij}`, is :math:`\exp(-f_i / t)`; for n < m the
    probability that position j stays empty, :math:`1 - \sum_i P_{ij}`, is
    :math:`\exp(-g_j / t)`. Both hold up to the residual. Where masses are given, the
    potentials have the same sum weighted by them.

    Attributes:
        plan: `[..., N, M]`, in the dtype of the logits.
        row_potential: `[..., N]`, in the units and the dtype of the logits; 0 for an item
            that does not exist.
        col_potential: `[..., M]`, the same for positions.
        n_iters: int32 `[...]`, the number of steps taken.
        residual: float64 `[...]`, the largest error of a row or column sum of the float64
            plan, that of the slack included.
        converged: bool `[...]`, whether the residual is within the tolerance.

    Example:
        >>> solution = st.sinkhorn_solve([[2.0, 0.0], [0.0, 0.0]])
        >>> log_plan = tf.math.log(solution.plan)
        >>> sums = solution.row_potential[:, None] + solution.col_potential[None, :]
        >>> print(np.round(log_plan + sums, 3).tolist())
        [[2.0, 0.0], [0.0, 0.0]]

        Three items for one position, and the probabilities that they do not get it:

        >>> solution = st.sinkhorn_solve([[2.0], [1.0], [0.0]], temperature=0.5)
        >>> print(np.round(1 - tf.reduce_sum(solution.plan, axis=1), 3))
        [0.291 0.752 0.957]
        >>> print(np.round(tf.exp(-solution.row_potential / 0.5), 3))
        [0.291 0.752 0.957]
    """

    plan: tf.Tensor
    row_potential: tf.Tensor
    col_potential: tf.Tensor
    n_iters: tf.Tensor
    residual: tf.Tensor
    converged: tf.Tensor


@takes_tensors()
def sinkhorn_solve(
    logits: TensorLike,
    temperature: TensorLike = 1.0,
    *,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    row_marginals: TensorLike | None = None,
    col_marginals: TensorLike | None = None,
    tolerance: float = _TOLERANCE,
    max_iters: int = _MAX_ITERS,
    jit_compile: bool | None = None,
) -> SinkhornSolution:
    r"""The limit :math:`S(X / t)` of the Sinkhorn operator, and the potentials behind it.

    `sinkhorn` takes a given number of iterations, and a low temperature needs very
    many. `sinkhorn_solve` takes Newton steps along a path of falling temperatures,
    10 to 30 of them as a rule, in float64 whatever the dtype of the logits.

    The derivative of the plan and of both potentials is that of the limit, by the
    equations of its marginals, taken at the plan that was reached. It can be
    differentiated again.

    Args:
        logits: `[..., N, M]`, the score of putting item i at position j, float16,
            bfloat16, float32 or float64; a rectangle as in `sinkhorn`. `-inf` forbids a
            pair; where that leaves no permutation, `converged` is False. Allowed pairs that are part of no
            permutation have the limit 0: their potentials grow as the tolerance
            falls. An example with NaN or +inf gets NaN for the plan, potentials and
            residual, and a zero gradient; the other examples are not affected.
        temperature: Positive number, scalar tensor, or tensor that broadcasts
            against the batch dimensions; differentiable.
        row_mask, col_mask: bool `[..., N]` and `[..., M]`, or None, as in `sinkhorn`. The
            potentials of what does not exist are 0.
        row_marginals, col_marginals: Numbers >= 0 `[..., N]` and `[..., M]`, or None, as in
            `sinkhorn`; differentiable. The limit is taken with the total of the columns.
        tolerance: Number > 0: the largest error of a row or column sum, that of the
            slack of a rectangle included.
        max_iters: Python int >= 1, the largest number of steps of an example.
        jit_compile: True compiles by XLA. None and False run plain ops: beyond N = 25 XLA
            on a CPU expands the Cholesky factorisation into loops many times slower.

    Returns:
        A `SinkhornSolution`. Its batch shape is that of `logits` broadcast with
        `temperature` and the masks. Every number is finite except in an example with
        NaN or +inf.

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
    masks = arguments.to_masks(row_mask, col_mask, logits)
    marginals = to_marginals(row_marginals, col_marginals, logits, *masks, tf.float64)
    return _sinkhorn_solve(
        logits,
        temperature,
        None,
        *masks,
        *marginals,
        tolerance=arguments.to_tolerance(tolerance, "tolerance"),
        max_iters=arguments.to_count(max_iters, "max_iters", 1),
        jit_compile=arguments.to_jit_compile(jit_compile) or False,
    )


def solve_near(logits, row_potential, temperature, row_mask=None, col_mask=None):
    """As `sinkhorn_solve` in a trace, where row potentials that are close are known.

    Args:
        logits: `[..., N, N]`.
        row_potential: `[..., N]`; any will do, close ones save steps.
        temperature: float64, scalar or `[...]`.
        row_mask, col_mask: bool `[..., N]`, or None.
    """
    return _sinkhorn_solve(
        logits,
        temperature,
        tf.stop_gradient(row_potential),
        row_mask,
        col_mask,
        None,
        None,
        tolerance=_TOLERANCE,
        max_iters=_MAX_ITERS,
    )


@compiled_when_eager
def _sinkhorn_solve(logits, temperature, row_potential, *members, tolerance, max_iters):
    (x, t, guess, *members), batch = batching.flatten(
        logits,
        (temperature, 0),
        (row_potential, 1),
        *((each, 1) for each in members),
    )
    if guess is not None:
        guess = -tf.cast(guess, tf.float64)
    problem = extend(tf.cast(x, tf.float64), *members)
    if guess is not None and any(each is not None for each in members):
        # Masks bring a slack, whose potential is 0.
        missing = tf.shape(problem.x)[1] - tf.shape(guess)[1]
        guess = tf.pad(guess, [[0, 0], [0, missing]])
        guess = tf.ensure_shape(guess, problem.x.shape[:2])
    invalid = batching.find_invalid(problem.x) | tf.math.is_nan(t)
    allowed = tf.zeros_like(problem.x)
    if problem.exists is not None:
        allowed = tf.where(problem.exists, allowed, problem.x)
    x = batching.where(invalid, allowed, problem.x)
    # The bound keeps differences from overflowing.
    x = tf.where(x == -math.inf, x, tf.clip_by_value(x, -1e300, 1e300))
    t = tf.where(invalid, tf.ones_like(t), t)
    solution = _solve_valid(problem._replace(x=x), t, tolerance, max_iters, guess)

    def finish(result, dtype, restrict=tf.identity):
        # A potential may exceed the largest float16.
        result = tf.saturate_cast(result, dtype)
        result = batching.where(invalid, tf.constant(math.nan, dtype), result)
        return restrict(result)

    n, m = logits.shape[-2:]
    row_potential = finish(solution.row_potential, logits.dtype, problem.restrict_rows)
    col_potential = finish(solution.col_potential, logits.dtype, problem.restrict_cols)
    return SinkhornSolution(
        plan=batch.unflatten(finish(solution.plan, logits.dtype, problem.restrict)),
        row_potential=batch.unflatten(row_potential, [n]),
        col_potential=batch.unflatten(col_potential, [m]),
        n_iters=batch.unflatten(solution.n_iters),
        residual=batch.unflatten(finish(solution.residual, tf.float64)),
        converged=batch.unflatten(solution.converged & ~invalid),
    )


def _solve_valid(problem, t, tolerance, max_iters, guess):
    """The solution of a float64 `Problem` for `t` `[B]`, without NaN or +inf."""
    scale = tf.ones_like(t) if problem.scale is None else problem.scale
    result = _newton(problem, t, tolerance / scale, max_iters, guess)
    result = tf.nest.map_structure(tf.stop_gradient, result)
    residual = tf.maximum(
        _largest_error(tf.reduce_sum(result.plan, 1), problem.col_masses),
        _largest_error(tf.reduce_sum(result.plan, 2), problem.row_masses),
    )
    residual *= scale
    # The potentials are the duals with the other sign.
    plan, row_potential, col_potential = _differentiable(
        problem.x,
        t,
        problem.row_masses,
        problem.col_masses,
        result.plan,
        -result.row_dual,
        -result.col_dual,
    )
    if problem.scale is not None:
        plan *= scale[:, None, None]
        row_potential -= (t * tf.math.log(scale))[:, None]
    row_potential, col_potential = problem.balance(row_potential, col_potential)
    return SinkhornSolution(
        plan=plan,
        row_potential=row_potential,
        col_potential=col_potential,
        n_iters=result.n_iters,
        residual=residual,
        converged=(residual <= tolerance) & ~result.infeasible,
    )


def _newton(problem, t, tolerance, max_iters, guess):
    """Newton's method, whose systems are those of the rows, on the shorter side."""
    n, m = problem.x.shape[1:]
    if n is None or m is None or n <= m:
        return newton.solve(problem, t, tolerance, max_iters, guess)
    result = newton.solve(problem.transpose(), t, tolerance, max_iters)
    return result._replace(
        plan=tf.linalg.matrix_transpose(result.plan),
        row_dual=result.col_dual,
        col_dual=result.row_dual,
    )


def _largest_error(sums, masses):
    masses = tf.ones([], sums.dtype) if masses is None else masses
    return tf.reduce_max(tf.abs(sums - masses), 1)


def _differentiable(x, t, rows, cols, *results):
    """The three results unchanged, with their implicit derivatives.

    Args:
        x, t: Scores `[B, N, M]` and temperatures `[B]`.
        rows, cols: Masses `[B, N]` and `[B, M]`, to differentiate by; those of a slack are
            constants. None where all are 1.
        results: Plan `[B, N, M]`, potentials `[B, N]` and `[B, M]`.
    """
    given = [each for each in (rows, cols) if each is not None]

    @tf.custom_gradient
    def results_of(x, t, *given_and_results):
        plan, row_potential, col_potential = given_and_results[-3:]

        def grad(plan_bar, row_bar, col_bar):
            # The plan must be a function of its arguments again, for the derivative of
            # this derivative. That may be taken in another graph, which sees only copies
            # made in this one.
            here = [tf.identity(v) for v in (x, t, *given_and_results)]
            p, _, _ = results_of(*here)
            # plan = exp(x / t + a + b) with a = -row_potential / t, b likewise.
            scale = -t[:, None]
            z_bar, rows_bar, cols_bar = implicit_gradient(
                p, plan_bar, scale * row_bar, scale * col_bar
            )
            # t acts through z = x / t, and through the factor of
            # row_potential = -t * a. As the row sums of z_bar are -a_bar (and the
            # columns alike), both parts together are a product with
            # z + a + b = log_plan.
            log_plan = tf.math.log(tf.where(p > 0, p, tf.ones_like(p)))
            t_bar = -tf.reduce_sum(z_bar * log_plan, [1, 2]) / t
            bars = [rows_bar[:, :, 0]] if rows is not None else []
            bars += [cols_bar[:, 0, :]] if cols is not None else []
            mass_bars = map(_for_masses, given_and_results[:-3], bars)
            return z_bar / t[:, None, None], t_bar, *mass_bars, None, None, None

        return (plan, row_potential, col_potential), grad

    return results_of(x, t, *given, *results)


def _for_masses(masses, bar):
    """A gradient `[B, N]` with the shape of the masses, which may be one for all."""
    if masses.shape[0] == 1 and bar.shape[0] != 1:
        # These are constants.
        return tf.zeros_like(masses)
    return tf.where(masses > 0, bar, tf.zeros_like(bar))
