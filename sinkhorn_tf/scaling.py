"""The Sinkhorn iterations in the kernel domain, stabilised, and their derivative.

With log potentials `a, b` (rows, columns) the iterations of SN eq. 1 are

    a^l = -logsumexp_j(z + b^(l-1)),   b^l = -logsumexp_i(z + a^l),   b^0 = 0,

and `S^l = exp(z + a^l + b^l)`. Around a *base* `(a, b)` the same steps are two
products with the fixed kernel `K = exp(z + a + b)`: `u = 1 / (K v)`,
`v = 1 / (K^T u)`; the potentials are `a + log u` and `b + log v`. That is fast, and
accurate as long as nothing that matters underflows: an entry of K that was flushed
to zero adds less than `tiny * max(u) * max(v)` to a plan.

So the iterations go in segments. Each starts from a base that has absorbed the
potentials so far; an example whose scalings grow too far within a segment repeats
that segment in the log domain. Examples share the waiting for that, never numbers.
"""

import typing

import numpy as np
import tensorflow as tf

# Iterations around one base: a longer segment saves exponentials of the matrix, a
# shorter one repeats less in the log domain.
SEGMENT_LENGTH = 20


class _State(typing.NamedTuple):
    """The point between two segments."""

    row_base: tf.Tensor  # [B, N]
    col_base: tf.Tensor  # [B, N]
    u: tf.Tensor  # [B, N]
    log_v: tf.Tensor  # [B, N]
    active: tf.Tensor  # [B], False once an example has met the tolerance


class _Segment(typing.NamedTuple):
    """What the backward pass needs of a segment.

    `u` and `v` hold scalings where `is_kernel`, their logarithms elsewhere.
    """

    row_base: tf.Tensor  # [B, N]
    col_base: tf.Tensor  # [B, N]
    log_v_start: tf.Tensor  # [B, N]
    u: tf.Tensor  # [length, B, N]
    v: tf.Tensor  # [length, B, N]
    active: tf.Tensor  # [length, B], the examples that took the step
    is_kernel: tf.Tensor  # [B]


class _Problem(typing.NamedTuple):
    """The scaled logits, and 1 for rows and columns without any allowed pair.

    Such a row keeps the scaling 1: its sum is 0 whatever the scaling.
    """

    z: tf.Tensor  # [B, N, N]
    dead_rows: tf.Tensor  # [B, N]
    dead_cols: tf.Tensor  # [B, N]
    tolerance: float | None


def iterate(z, n_iters, tolerance=None):
    """Runs the iterations.

    Args:
        z: Scaled logits, float32 or float64 `[B, N, N]`; `-inf` forbids a pair.
        n_iters: Python int >= 1.
        tolerance: If given, an example stops after the first iteration whose row
            sums are within `tolerance` of 1.

    Returns:
        `(plan, saved)`: the plan `S^l(z)`, shape `[B, N, N]`, and what
        `backpropagate` needs.
    """
    row_max = tf.reduce_max(z, axis=2)
    dead_rows = row_max == -float("inf")
    row_base = tf.where(dead_rows, tf.zeros_like(row_max), -row_max)
    col_max = tf.reduce_max(z + row_base[:, :, None], axis=1)
    dead_cols = col_max == -float("inf")
    col_base = tf.where(dead_cols, tf.zeros_like(col_max), -col_max)
    problem = _Problem(
        z, tf.cast(dead_rows, z.dtype), tf.cast(dead_cols, z.dtype), tolerance
    )
    state = _State(
        row_base=row_base,
        col_base=col_base,
        # Far from any scaling, so that no example stops before its first step.
        u=tf.fill(tf.shape(row_base), tf.constant(1e30, z.dtype)),
        log_v=-col_base,
        active=tf.ones(tf.shape(z)[:1], tf.bool),
    )
    full, rest = divmod(n_iters, SEGMENT_LENGTH)
    saved = []
    for count, length in ((full, SEGMENT_LENGTH), (1, rest)):
        if count and length:
            state, segments = _repeat(problem, state, count, length)
            saved.append((count, segments))
    last = tf.nest.map_structure(lambda x: x[-1], saved[-1][1])
    log_kernel = _log_kernel(z, last.row_base, last.col_base)
    plan = _select(
        last.is_kernel,
        lambda: _scaled(last.u[-1], tf.exp(log_kernel), last.v[-1]),
        lambda: tf.exp(_shifted(last.u[-1], log_kernel, last.v[-1])),
    )
    return plan, saved


def backpropagate(z, plan, saved, upstream):
    """The derivative of `iterate`, exactly that of the steps that were taken.

    Args:
        z, plan, saved: As given to and returned by `iterate`.
        upstream: Gradient with respect to the plan, `[B, N, N]`.

    Returns:
        Gradient with respect to `z`, `[B, N, N]`.
    """
    z_bar = upstream * plan
    carry = (tf.reduce_sum(z_bar, 2), tf.reduce_sum(z_bar, 1), z_bar)
    for count, segments in reversed(saved):

        def body(index, *carry, segments=segments):
            segment = tf.nest.map_structure(lambda x: x[index], segments)
            return index - 1, *_segment_gradient(z, segment, *carry)

        if count == 1:
            _, *carry = body(0, *carry)
        else:
            _, *carry = tf.while_loop(
                lambda index, *_: index >= 0,
                body,
                (tf.constant(count - 1), *carry),
                maximum_iterations=count,
            )
    return carry[2]


def _repeat(problem, state, count, length):
    """`count` segments: the state after them, and the segments stacked."""

    def step(state):
        if problem.tolerance is None:
            return _segment(problem, state, length)
        return tf.cond(
            tf.reduce_any(state.active),
            lambda: _segment(problem, state, length),
            lambda: _idle_segment(state, length),
        )

    if count == 1:
        state, segment = step(state)
        return state, tf.nest.map_structure(lambda x: x[None], segment)

    def body(index, state, arrays):
        state, segment = step(state)
        arrays = tf.nest.map_structure(lambda a, x: a.write(index, x), arrays, segment)
        return index + 1, state, arrays

    float_array = lambda: tf.TensorArray(problem.z.dtype, size=count)
    bool_array = lambda: tf.TensorArray(tf.bool, size=count)
    arrays = _Segment(*(float_array() for _ in range(5)), bool_array(), bool_array())
    _, state, arrays = tf.while_loop(
        lambda index, *_: index < count,
        body,
        (tf.constant(0), state, arrays),
        maximum_iterations=count,
    )
    return state, tf.nest.map_structure(lambda array: array.stack(), arrays)


def _segment(problem, state, length):
    """`length` iterations: the state after them, and the `_Segment`."""
    log_kernel = _log_kernel(problem.z, state.row_base, state.col_base)
    kernel_steps = _steps(_KernelDomain(problem, log_kernel), problem, state, length)
    # Entries of the kernel below `tiny` are lost. What they add to a sum of 1 is at
    # most tiny * growth, with this limit sqrt(tiny): far below rounding.
    tiny = problem.z.dtype.as_numpy_dtype(np.finfo(problem.z.dtype.as_numpy_dtype).tiny)
    u, v, _ = kernel_steps
    growth = tf.maximum(_largest(u), 1) * tf.maximum(_largest(v), 1)
    is_kernel = growth < tiny**-0.5  # False for NaN, too.
    u, v, active = _select(
        is_kernel,
        lambda: kernel_steps,
        lambda: _steps(_LogDomain(problem, log_kernel), problem, state, length),
        batch_axis=1,
    )
    to_log = lambda x: tf.where(is_kernel[:, None], tf.math.log(x), x)
    after = _State(
        row_base=state.row_base + to_log(u[-1]),
        col_base=state.col_base + to_log(v[-1]),
        u=tf.ones_like(state.u),
        log_v=tf.zeros_like(state.log_v),
        active=active[-1],
    )
    segment = _Segment(
        state.row_base, state.col_base, state.log_v, u, v, active, is_kernel
    )
    return after, segment


def _idle_segment(state, length):
    """What `_segment` gives once every example has met the tolerance."""
    stack = lambda x: tf.repeat(x[None], length, axis=0)
    segment = _Segment(
        row_base=state.row_base,
        col_base=state.col_base,
        log_v_start=state.log_v,
        u=stack(state.u),
        v=stack(tf.exp(state.log_v)),
        active=stack(state.active),
        is_kernel=tf.ones_like(state.active),
    )
    return state, segment


class _KernelDomain:
    """Half steps on scalings."""

    def __init__(self, problem, log_kernel):
        self.problem = problem
        self.kernel = tf.exp(log_kernel)

    def start(self, state):
        return state.u, tf.exp(state.log_v)

    def row_sums(self, v):
        return tf.linalg.matvec(self.kernel, v)

    def rows(self, sums):
        return 1 / (sums + self.problem.dead_rows)

    def cols(self, u):
        sums = tf.linalg.matvec(self.kernel, u, transpose_a=True)
        return 1 / (sums + self.problem.dead_cols)

    def marginals(self, u, sums):
        return u * sums


class _LogDomain:
    """The same half steps on logarithms of scalings; `row_sums` are logarithms."""

    def __init__(self, problem, log_kernel):
        self.problem = problem
        self.log_kernel = log_kernel

    def start(self, state):
        return tf.math.log(state.u), state.log_v

    def row_sums(self, v):
        return tf.reduce_logsumexp(self.log_kernel + v[:, None, :], axis=2)

    def rows(self, sums):
        return tf.where(self.problem.dead_rows > 0, tf.zeros_like(sums), -sums)

    def cols(self, u):
        sums = tf.reduce_logsumexp(self.log_kernel + u[:, :, None], axis=1)
        return tf.where(self.problem.dead_cols > 0, tf.zeros_like(sums), -sums)

    def marginals(self, u, sums):
        return tf.exp(u + sums)


def _steps(domain, problem, state, length):
    """`length` iterations in a domain: u, v `[length, B, N]`, active `[length, B]`."""
    u, v = domain.start(state)
    active = state.active
    history = []
    for _ in range(length):
        sums = domain.row_sums(v)
        if problem.tolerance is None:
            u = domain.rows(sums)
            v = domain.cols(u)
        else:
            error = tf.reduce_max(tf.abs(domain.marginals(u, sums) - 1), axis=1)
            active &= ~(error <= problem.tolerance)
            u = tf.where(active[:, None], domain.rows(sums), u)
            v = tf.where(active[:, None], domain.cols(u), v)
        history.append((u, v, active))
    return tuple(tf.stack(x) for x in zip(*history, strict=True))


def _segment_gradient(z, segment, row_bar, col_bar, z_bar):
    """Takes the gradients at a segment's end to its start.

    Args:
        row_bar, col_bar: Gradients with respect to the log potentials, `[B, N]`.
        z_bar: Gradient with respect to `z` collected so far.
    """
    log_kernel = _log_kernel(z, segment.row_base, segment.col_base)
    kernel = tf.exp(log_kernel)
    v_start = tf.exp(segment.log_v_start)

    def in_kernel_domain():
        # b = -log(K^T u) and a = -log(K v): each half step is one product, and the
        # N x N gradient is collected as one product over all steps.
        a_bar, b_bar, left, right = row_bar, col_bar, [], []
        for step in reversed(range(segment.u.shape[0])):
            active = tf.cast(segment.active[step][:, None], z.dtype)
            u, v = segment.u[step], segment.v[step]
            previous_v = segment.v[step - 1] if step else v_start
            moved_b = active * b_bar
            weighted = v * moved_b
            a_total = a_bar - u * tf.linalg.matvec(kernel, weighted)
            scaled = u * active * a_total
            b_total = -previous_v * tf.linalg.matvec(kernel, scaled, transpose_a=True)
            left += [u, scaled]
            right += [weighted, previous_v]
            a_bar = (1 - active) * a_bar
            b_bar = (1 - active) * b_bar + b_total
        outer = tf.einsum("lbi,lbj->bij", tf.stack(left), tf.stack(right))
        return a_bar, b_bar, z_bar - kernel * outer

    def in_log_domain():
        a_bar, b_bar, total = row_bar, col_bar, z_bar
        for step in reversed(range(segment.u.shape[0])):
            active = tf.cast(segment.active[step][:, None], z.dtype)
            u, v = segment.u[step], segment.v[step]
            previous_v = segment.v[step - 1] if step else segment.log_v_start
            plan = tf.exp(_shifted(u, log_kernel, v))
            flow = plan * (active * b_bar)[:, None, :]
            a_total = active * (a_bar - tf.reduce_sum(flow, 2))
            back_flow = (
                tf.exp(_shifted(u, log_kernel, previous_v)) * a_total[:, :, None]
            )
            total -= flow + back_flow
            a_bar = (1 - active) * a_bar
            b_bar = (1 - active) * b_bar - tf.reduce_sum(back_flow, 1)
        return a_bar, b_bar, total

    return _select(segment.is_kernel, in_kernel_domain, in_log_domain)


def _select(is_kernel, kernel_value, log_value, batch_axis=0):
    """`kernel_value()` where `is_kernel`, `log_value()` for the other examples.

    The second is computed only if an example needs it.
    """
    kernel_value = tf.nest.map_structure(tf.identity, kernel_value())

    def choose(kernel_part, log_part):
        rank = kernel_part.shape.rank
        shape = [1] * batch_axis + [-1] + [1] * (rank - batch_axis - 1)
        return tf.where(tf.reshape(is_kernel, shape), kernel_part, log_part)

    return tf.cond(
        tf.reduce_all(is_kernel),
        lambda: kernel_value,
        lambda: tf.nest.map_structure(choose, kernel_value, log_value()),
    )


def _log_kernel(z, row_base, col_base):
    return z + row_base[:, :, None] + col_base[:, None, :]


def _scaled(u, kernel, v):
    return u[:, :, None] * kernel * v[:, None, :]


def _shifted(u, log_kernel, v):
    return log_kernel + u[:, :, None] + v[:, None, :]


def _largest(scalings):
    """The largest scaling of each example over a segment: `[length, B, N]` -> `[B]`."""
    return tf.reduce_max(scalings, axis=[0, 2])
