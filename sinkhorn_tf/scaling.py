"""The Sinkhorn iterations in the kernel domain, stabilised.

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

from sinkhorn_tf.domains import (
    KernelDomain,
    LogDomain,
    log_kernel_around,
    scaled,
    select,
    shifted,
)

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
        `unrolled_gradient` needs.
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
    log_kernel = log_kernel_around(z, last.row_base, last.col_base)
    plan = select(
        last.is_kernel,
        lambda: scaled(last.u[-1], tf.exp(log_kernel), last.v[-1]),
        lambda: tf.exp(shifted(last.u[-1], log_kernel, last.v[-1])),
    )
    return plan, saved


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
    log_kernel = log_kernel_around(problem.z, state.row_base, state.col_base)
    kernel_steps = _steps(KernelDomain(problem, log_kernel), problem, state, length)
    # Entries of the kernel below `tiny` are lost. What they add to a sum of 1 is at
    # most tiny * growth, with this limit sqrt(tiny): far below rounding.
    tiny = np.finfo(problem.z.dtype.as_numpy_dtype).tiny
    u, v, _ = kernel_steps
    growth = tf.maximum(_largest(u), 1) * tf.maximum(_largest(v), 1)
    is_kernel = growth < tiny**-0.5  # False for NaN, too.
    u, v, active = select(
        is_kernel,
        lambda: kernel_steps,
        lambda: _steps(LogDomain(problem, log_kernel), problem, state, length),
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


def _steps(domain, problem, state, length):
    """`length` iterations in a domain: u, v `[length, B, N]`, active `[length, B]`."""

    def step(u, v, active):
        sums = domain.row_sums(v)
        if problem.tolerance is None:
            u = domain.rows(sums)
            return u, domain.cols(u), active
        error = tf.reduce_max(tf.abs(domain.marginals(u, sums) - 1), axis=1)
        active &= ~(error <= problem.tolerance)
        u = tf.where(active[:, None], domain.rows(sums), u)
        v = tf.where(active[:, None], domain.cols(u), v)
        return u, v, active

    carry = (*domain.start(state), state.active)
    if not domain.unrolls:
        return tf.scan(lambda carry, _: step(*carry), tf.range(length), carry)
    history = []
    for _ in range(length):
        carry = step(*carry)
        history.append(carry)
    return tuple(tf.stack(x) for x in zip(*history, strict=True))


def _largest(scalings):
    """The largest scaling of each example over a segment: `[length, B, N]` -> `[B]`."""
    return tf.reduce_max(scalings, axis=[0, 2])
