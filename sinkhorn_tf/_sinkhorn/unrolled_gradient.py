"""The derivative of the Sinkhorn iterations, step by step back.

With `b = -log(K^T u)` and `a = -log(K v)` each half step costs one product, and the
N x N gradient of a block of steps is collected as one matrix product. The gradients
of the potentials die away as fast as the iterations converged; what is below rounding
is not followed further back.
"""

import numpy as np
import tensorflow as tf

from sinkhorn_tf._sinkhorn.iterations import renewed
from sinkhorn_tf._sinkhorn.kernel_products import (
    col_sums,
    row_sums,
    sum_of_outer_products,
)


def unrolled_gradient(z, plan, trajectory, upstream):
    """Gradient with respect to the scaled logits of the iterations.

    Args:
        z, plan, trajectory: As given to and returned by `scaling.iterate`.
        upstream: Gradient with respect to the plan, `[B, N, N]`.

    Returns:
        Gradient with respect to `z`, `[B, N, N]`.
    """
    flow = upstream * plan
    a_bar = tf.reduce_sum(flow, axis=2, keepdims=True)
    b_bar = tf.reduce_sum(flow, axis=1, keepdims=True)
    largest = tf.maximum(_largest(a_bar), _largest(b_bar))
    negligible = np.finfo(z.dtype.as_numpy_dtype).eps * largest
    if trajectory.settled is not None:
        a_bar, b_bar, a_sum, b_sum = _through_settled_steps(
            plan, trajectory, a_bar, b_bar, negligible
        )
        flow = plan * (upstream - a_sum - b_sum)
    carry = (trajectory.kernel, None, a_bar, b_bar, flow)
    if trajectory.loop is None:
        for block in reversed(trajectory.head):
            carry = _through_block(z, block, negligible, *carry)
        return carry[-1]
    carry = _through_loop(z, trajectory, negligible, *carry)
    return tf.cond(
        _is_left(*carry[2:4]),
        lambda: _through_block(z, trajectory.head[0], negligible, *carry)[-1],
        lambda: carry[-1],
    )


def _through_loop(z, trajectory, negligible, kernel, _, *gradients):
    """As `_through_block`, for the blocks that are stacked."""
    stale = tf.zeros(tf.shape(z)[:1], tf.bool)

    def body(index, *carry):
        block = tf.nest.map_structure(lambda x: x[index], trajectory.loop)
        return index - 1, *_through_block(z, block, negligible, *carry)

    return tf.while_loop(
        lambda index, kernel, stale, a_bar, b_bar, z_bar: (
            (index >= 0) & _is_left(a_bar, b_bar)
        ),
        body,
        (tf.constant(trajectory.blocks - 1), kernel, stale, *gradients),
        maximum_iterations=trajectory.blocks,
    )[1:]


def _through_settled_steps(plan, trajectory, a_bar, b_bar, negligible):
    """Through the iterations that changed nothing any more, whose kernel is the plan.

    Args:
        a_bar, b_bar: Gradients with respect to the log potentials at the end,
            `[B, N, 1]` and `[B, 1, N]`.

    Returns:
        Those before these steps, and the sums `x, y` that make `-plan * (x + y)` the
        gradient with respect to the scaled logits: `[B, N, 1]`, `[B, 1, N]`.
    """

    def body(step, a_bar, b_bar, a_sum, b_sum):
        live = (step < trajectory.settled)[:, None, None]
        zeros_a, zeros_b = tf.zeros_like(a_bar), tf.zeros_like(b_bar)
        a, b = tf.where(live, a_bar, zeros_a), tf.where(live, b_bar, zeros_b)
        for _ in range(trajectory.length):
            b_sum += b
            a -= row_sums(plan, b)
            a_sum += a
            b = -col_sums(plan, a)
            a = zeros_a
        a_bar, b_bar = tf.where(live, a, a_bar), tf.where(live, b, b_bar)
        return (
            step + trajectory.length,
            a_bar,
            _rounded(b_bar, negligible),
            a_sum,
            b_sum,
        )

    def is_left(step, a_bar, b_bar, a_sum, b_sum):
        return tf.reduce_any(step < trajectory.settled) & _is_left(a_bar, b_bar)

    start = (tf.constant(0), a_bar, b_bar, tf.zeros_like(a_bar), tf.zeros_like(b_bar))
    return tf.while_loop(is_left, body, start, maximum_iterations=trajectory.blocks)[1:]


def _through_block(z, block, negligible, kernel, stale, a_bar, b_bar, z_bar):
    """Takes the gradients after a block to before it.

    Args:
        kernel: That of the block after this one.
        stale: Where its base was another one, bool `[B]`; None for nowhere.
        a_bar, b_bar: Gradients with respect to the log potentials, `[B, N, 1]` and
            `[B, 1, N]`.
        z_bar: Gradient with respect to `z` collected so far.

    Returns:
        The last five for the block before this one.
    """
    if stale is not None:
        kernel = renewed(z, kernel, block.row_base, block.col_base, stale)
    taken = block.taken[:, None, None]
    zeros = tf.zeros_like(a_bar)
    a, b = tf.where(taken, a_bar, zeros), tf.where(taken, b_bar, tf.zeros_like(b_bar))
    us, vs = tf.unstack(block.u), [block.v_start, *tf.unstack(block.v)]
    # Within the block `a` is 0 but at its end, and `b` always occurs as `v * b`.
    minus_u_u, minus_v_v = (tf.unstack(-x * x) for x in (block.u, block.v))
    moved_b = vs[-1] * b
    columns, rows = [], []
    for step in reversed(range(len(us))):
        moved_a = minus_u_u[step] * row_sums(kernel, moved_b)
        if step == len(us) - 1:
            moved_a += us[step] * a
        columns += [us[step], moved_a]
        rows += [moved_b, vs[step]]
        sums = col_sums(kernel, moved_a)
        if step:
            moved_b = minus_v_v[step - 1] * sums
    b = -block.v_start * sums
    z_bar -= kernel * sum_of_outer_products(columns, rows)
    b_bar = _rounded(tf.where(taken, b, b_bar), negligible)
    return kernel, block.absorbed, tf.where(taken, zeros, a_bar), b_bar, z_bar


def _rounded(b_bar, negligible):
    """`b_bar`, and 0 where all of an example's are negligible."""
    return tf.where(_largest(b_bar) <= negligible, tf.zeros_like(b_bar), b_bar)


def _largest(x):
    return tf.reduce_max(tf.abs(x), axis=[1, 2], keepdims=True)


def _is_left(a_bar, b_bar):
    return tf.reduce_any(a_bar != 0) | tf.reduce_any(b_bar != 0)
