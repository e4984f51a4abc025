"""Newton's method for the Sinkhorn limit, along a path of falling temperatures.

With a potential `f` for the rows, in units of the scores, and columns that sum to their
masses `c`,

    P_ij = c_j exp((x_ij + f_i) / t) / sum_k exp((x_kj + f_k) / t),

the limit is where the row sums `s` are the masses `r`: the maximum over `f / t` of the
concave semi-dual `sum_i r_i f_i / t - sum_j c_j logsumexp_i((x_ij + f_i) / t)`. Its
gradient is `r - s`, minus its Hessian is `diag(s) - P diag(1 / c) P^T`, a Laplacian.
All masses are 1 but for those of a slack, and of what does not exist.

At a low temperature the steps are good only close to the solution. So an example
starts at a temperature of the order of its scores, unless a potential is known that is
close at the lowest one. One factorisation gives both the
Newton step and the tangent of the path `f(t)`; an example that is close to its path
follows them to the lowest temperature that keeps it close, any other takes a Newton
step at its temperature. The batch runs until its slowest example is done; results never
depend on the other examples.
"""

import typing

import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf._sinkhorn.hall import is_infeasible
from sinkhorn_tf._sinkhorn.laplacian import solve_laplacian

_INF = float("inf")
# The temperature is lowered from a point whose row sums have at most the first error,
# to a point whose row sums have at most the second.
_MAX_ERROR_BEFORE_FALL, _MAX_ERROR_AFTER_FALL = 0.4, 0.5
# Logs of the factors by which the temperature falls: the first that is tried, and the
# smallest.
_FIRST_FALL, _MIN_FALL = 3.0, 0.3
# A Newton step leads nowhere from a point that is as good as solved: its temperature may
# fall by as little as this. Masses of 1 : 1000 need falls of 0.1.
_SOLVED, _MIN_FALL_IF_SOLVED = 1e-8, 1e-3
# No step moves a potential further, in units of the temperature.
_MAX_STEP = 30.0
_MAX_TRIALS = 40


class NewtonResult(typing.NamedTuple):
    """The plan at the requested temperature; potentials as in `exp((x + f + g) / t)`."""

    plan: tf.Tensor  # [B, N, M]
    row_dual: tf.Tensor  # [B, N], f
    col_dual: tf.Tensor  # [B, M], g
    n_iters: tf.Tensor  # int32 [B]
    infeasible: tf.Tensor  # [B], proven to have no permutation


class _Problem(typing.NamedTuple):
    x: tf.Tensor  # [B, N, M], largest entry of each row and column 0 or -inf
    rows: tf.Tensor | None  # [B or 1, N], masses; None: all 1
    cols: tf.Tensor | None  # [B or 1, M]
    temperature: tf.Tensor  # [B]
    tolerance: tf.Tensor  # [B]
    forbids: tf.Tensor  # [], whether any example forbids a pair


class _Point(typing.NamedTuple):
    """A plan near the path, and its parts."""

    dual: tf.Tensor  # [B, N]
    temperature: tf.Tensor  # [B]
    plan: tf.Tensor  # [B, N, M]
    exponent: tf.Tensor  # [B, N, M], log plan, but for a constant of each column
    col_dual: tf.Tensor  # [B, M]
    gradient: tf.Tensor  # [B, N], masses - row sums
    error: tf.Tensor  # [B], the largest of its magnitudes, relative to the masses


class _Line(typing.NamedTuple):
    """Where the trials of one step may lead."""

    newton: tf.Tensor  # [B, N], the Newton step of f / t
    tangent: tf.Tensor  # [B, N], the derivative of f by t along the path
    slope: tf.Tensor  # [B], of the semi-dual along the Newton step
    may_fall: tf.Tensor  # [B], whether to try a lower temperature
    whole_fall: tf.Tensor  # [B], log of the factor to the requested temperature
    min_fall: tf.Tensor  # [B], below it a Newton step is tried instead


class _State(typing.NamedTuple):
    point: _Point
    fall: tf.Tensor  # [B], log of the factor of the temperature to try next
    length: tf.Tensor  # [B], of the Newton step to try next
    n_iters: tf.Tensor  # [B]
    infeasible: tf.Tensor  # [B]
    active: tf.Tensor  # [B]


def solve(extended, temperature, tolerance, max_iters, guess=None):
    """The Sinkhorn limit of `x / temperature`, as a `NewtonResult`.

    Args:
        extended: A `marginals.Problem`, float64 without NaN or +inf; `-inf` forbids a
            pair.
        temperature: float64 `[B]`.
        tolerance: float64 `[B]`, the largest error of a row sum.
        max_iters: Python int, the largest number of steps of an example.
        guess: float64 `[B, N]`, potentials of the rows, with which those examples start
            at `temperature` whose row sums they bring near; None for none.
    """
    x = extended.x
    row_max = _finite_max(x, 2)
    x -= row_max[:, :, None]
    col_max = _finite_max(x, 1)
    x -= col_max[:, None, :]
    forbidden = x == -_INF
    forbids = forbidden if extended.exists is None else forbidden & extended.exists
    problem = _Problem(
        x,
        extended.row_masses,
        extended.col_masses,
        temperature,
        tolerance,
        tf.reduce_any(forbids),
    )
    spread = -tf.reduce_min(tf.where(forbidden, tf.zeros_like(x), x), [1, 2])
    start = tf.maximum(temperature, spread / 2)
    point = _point(problem, tf.zeros_like(row_max), start)
    if guess is not None:
        guessed = _point(problem, guess + row_max, temperature)
        point = _choose(guessed.error <= _MAX_ERROR_AFTER_FALL, guessed, point)
    infeasible = is_infeasible(problem, point.dual)
    state = _State(
        point=point,
        fall=tf.fill(tf.shape(start), tf.constant(_FIRST_FALL, x.dtype)),
        length=tf.ones_like(start),
        n_iters=tf.zeros_like(start, tf.int32),
        infeasible=infeasible,
        active=~infeasible & ~_is_done(problem, point),
    )
    (state,) = tf.while_loop(
        lambda state: tf.reduce_any(state.active),
        lambda state: (_step(problem, state),),
        (state,),
        maximum_iterations=max_iters,
    )
    # Examples that ran out of steps are evaluated at the requested temperature.
    point = _point(problem, state.point.dual, temperature)
    return NewtonResult(
        plan=point.plan,
        row_dual=point.dual - row_max,
        col_dual=point.col_dual - col_max,
        n_iters=state.n_iters,
        infeasible=state.infeasible,
    )


def _finite_max(x, axis):
    """The maximum, 0 where all is forbidden."""
    top = tf.reduce_max(x, axis)
    return tf.where(top == -_INF, tf.zeros_like(top), top)


def _point(problem, dual, temperature):
    scores = problem.x + dual[:, :, None]
    top = _finite_max(scores, 1)
    exponent = (scores - top[:, None, :]) * (1 / temperature)[:, None, None]
    plan = tf.exp(exponent)
    total = tf.reduce_sum(plan, 1)
    total = tf.where(total > 0, total, tf.ones_like(total))
    col_dual = -top - temperature[:, None] * tf.math.log(total)
    one = tf.ones([], plan.dtype)
    cols = one if problem.cols is None else problem.cols
    rows = one if problem.rows is None else problem.rows
    plan *= (cols / total)[:, None, :]
    gradient = rows - tf.reduce_sum(plan, 2)
    return _Point(
        dual=dual,
        temperature=temperature,
        plan=plan,
        exponent=exponent,
        col_dual=col_dual + temperature[:, None] * tf.math.log(_or_one(cols)),
        gradient=gradient,
        error=tf.reduce_max(tf.abs(gradient) / _or_one(rows), 1),
    )


def _choose(examples, point, other):
    """One point in some examples, and another in the rest."""
    return _Point(
        *(batching.where(examples, *pair) for pair in zip(point, other, strict=True))
    )


def _or_one(masses):
    """The masses, and 1 for what does not exist."""
    return tf.where(masses > 0, masses, tf.ones_like(masses))


def _is_done(problem, point):
    arrived = point.temperature == problem.temperature
    error = tf.reduce_max(tf.abs(point.gradient), 1)
    return arrived & (error <= problem.tolerance)


def _step(problem, state):
    """One factorisation: down the path where that stays close, or a Newton step."""
    point = state.point
    line = _line(problem, state)
    longest = _MAX_STEP / tf.maximum(tf.reduce_max(tf.abs(line.newton), 1), 1e-300)

    def try_again(_, fall, length, last):
        return _try(problem, state, line, fall, length)

    _, fall, length, last = tf.while_loop(
        lambda refused, *_: tf.reduce_any(refused),
        try_again,
        (
            tf.ones_like(state.active),
            tf.minimum(tf.maximum(state.fall, line.min_fall), line.whole_fall),
            tf.where(state.active, tf.minimum(state.length, longest), 0),
            point,
        ),
        maximum_iterations=_MAX_TRIALS,
    )
    # Where entries of the plan decay to 0 a whole step leaves 1/e of the slope.
    fell = last.temperature < point.temperature
    remains = tf.reduce_sum(last.gradient * line.newton, 1) > line.slope / 4
    longer = tf.where(remains & ~fell, tf.maximum(2 * length, 1), 1)
    infeasible = state.infeasible | is_infeasible(problem, last.dual)
    return _State(
        point=last,
        fall=tf.where(fell, 2 * fall, 2 * _MIN_FALL),
        length=longer,
        n_iters=state.n_iters + tf.cast(state.active, tf.int32),
        infeasible=infeasible,
        active=state.active & ~infeasible & ~_is_done(problem, last),
    )


def _line(problem, state):
    point = state.point
    newton, tangent = _directions(problem, point)
    slope = tf.reduce_sum(point.gradient * newton, 1)
    whole_fall = tf.math.log(point.temperature / problem.temperature)
    may_fall = state.active & (point.temperature > problem.temperature)
    may_fall &= point.error <= _MAX_ERROR_BEFORE_FALL
    least = tf.where(point.error <= _SOLVED, _MIN_FALL_IF_SOLVED, _MIN_FALL)
    least = tf.cast(least, whole_fall.dtype)
    return _Line(
        newton=newton,
        tangent=tangent,
        slope=slope,
        may_fall=may_fall,
        whole_fall=whole_fall,
        min_fall=tf.minimum(whole_fall, least),
    )


def _try(problem, state, line, fall, length):
    """One trial of every example.

    Args:
        fall: `[B]`, log of the factor of the temperature to try.
        length: `[B]`, of the Newton step to try.

    Returns:
        Whether the trial was refused, bool `[B]`; `fall` and `length` to try next; the
        point that was tried.
    """
    falling = line.may_fall & (fall >= line.min_fall)
    trial = _trial(problem, state, line, falling, fall, length)
    refused = state.active & ~_accepts(line, falling, trial)
    fall = tf.where(falling & refused, fall / 2, fall)
    length = tf.where(~falling & refused, length / 2, length)
    return refused, fall, length, trial


def _trial(problem, state, line, falling, fall, length):
    """The point that a step leads to."""
    point = state.point
    lower = point.temperature * tf.exp(-fall)
    lower = tf.where(fall >= line.whole_fall, problem.temperature, lower)
    temperature = tf.where(falling, lower, point.temperature)
    # An example at rest moves by 0 exactly: its plan is the same bit for bit.
    step = tf.where(falling, tf.ones_like(length), length) * temperature
    dual = point.dual + step[:, None] * line.newton
    dual += (temperature - point.temperature)[:, None] * line.tangent
    # The free constant of the duals must not swallow the digits of their differences.
    dual -= tf.where(state.active[:, None], tf.reduce_mean(dual, 1, True), 0)
    return _point(problem, dual, temperature)


def _accepts(line, falling, trial):
    # The slope falls along the line, below 0 beyond the maximum. NaN is refused.
    slope = tf.reduce_sum(trial.gradient * line.newton, 1)
    return tf.where(
        falling, trial.error <= _MAX_ERROR_AFTER_FALL, slope >= -line.slope / 2
    )


def _directions(problem, point):
    """The Newton step of `f / t`, and the derivative of `f` by t along the path."""
    plan, cols = point.plan, problem.cols
    # The columns of a conditional plan sum to 1.
    conditional = plan if cols is None else plan / _or_one(cols)[:, None, :]
    by_log = tf.math.multiply_no_nan(point.exponent, plan)
    means = tf.reduce_sum(tf.math.multiply_no_nan(point.exponent, conditional), 1)
    drift = tf.reduce_sum(by_log - plan * means[:, None, :], 2)
    # The weights only steer the steps: their last digits are not worth twice the time.
    plan, conditional = (tf.cast(p, tf.float32) for p in (plan, conditional))
    weights = tf.matmul(plan, conditional, transpose_b=True)
    weights = tf.cast(weights, point.plan.dtype)
    steps = solve_laplacian(weights, tf.stack([point.gradient, drift], 2))
    finite = tf.reduce_all(tf.math.is_finite(steps), [1, 2])[:, None]
    # A plain Sinkhorn step of the rows where the system could not be factorised.
    rows = tf.ones([], drift.dtype) if problem.rows is None else _or_one(problem.rows)
    sums = tf.maximum(rows - point.gradient, 1e-300)
    newton = tf.where(finite, steps[:, :, 0], tf.math.log(rows) - tf.math.log(sums))
    return newton, tf.where(finite, steps[:, :, 1], tf.zeros_like(newton))
