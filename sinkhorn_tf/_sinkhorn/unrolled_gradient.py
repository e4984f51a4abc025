"""The derivative of the Sinkhorn iterations, step by step back.

With `b = log c - log(K^T u)` and `a = log r - log(K v)` each half step costs one product,
and the N x M gradient of a block of steps is collected as one matrix product. The gradients
of the potentials die away as fast as the iterations converged; gradients below
rounding are not followed further back.
"""

import typing

import numpy as np
import tensorflow as tf

from sinkhorn_tf._sinkhorn import outer_products
from sinkhorn_tf._sinkhorn.iterations import update_kernel
from sinkhorn_tf._sinkhorn.kernel_products import (
    col_sums,
    is_large,
    row_sums,
    sum_of_outer_products,
)


class _Carry(typing.NamedTuple):
    """The gradients at a point between two blocks."""

    kernel: tf.Tensor  # [B, N, M], that of the block after the point
    stale: tf.Tensor | None  # bool [B], where the block before has another base
    a_bar: tf.Tensor  # [B, N, 1], with respect to the log potentials of the rows
    b_bar: tf.Tensor  # [B, 1, M], with respect to those of the columns
    z_bar: tf.Tensor  # [B, N, M], with respect to z, of the blocks after the point
    waiting: outer_products.Waiting | tuple  # What z_bar lacks of them; () if nothing
    mass_bars: tuple  # of [B, N, 1] and [B, 1, M] as z_bar; () if masses are constants


class _SettledCarry(typing.NamedTuple):
    """The gradients between two of the iterations that changed nothing."""

    a_bar: tf.Tensor  # [B, N, 1]
    b_bar: tf.Tensor  # [B, 1, M]
    a_sum: tf.Tensor  # [B, N, 1], of the gradients at all points after this one
    b_sum: tf.Tensor  # [B, 1, M]


def unrolled_gradient(z, sides, plan, trajectory, upstream):
    """Gradients with respect to the scaled logits, and the sides, of the iterations.

    Args:
        z, sides, plan, trajectory: Arguments and results of `iterations.iterate`.
        upstream: Gradient with respect to the plan, `[B, N, M]`.

    Returns:
        `(z_bar,)`, or `(z_bar, row_bar, col_bar)` if the masses are given: `[B, N, M]`,
        `[B, N, 1]` and `[B, 1, M]`.
    """
    flow = upstream * plan
    a_bar, b_bar = _sums(flow, sides.rows_axis)
    negligible = _negligible(a_bar, b_bar, sides)
    mass_bars = (0 * a_bar, 0 * b_bar) if sides.are_given else ()
    kernel = trajectory.kernel
    if kernel is None:
        kernel = tf.exp(z + trajectory.row_base + trajectory.col_base)
    waiting = _none_waiting(kernel, trajectory)
    if trajectory.settled is not None:
        settled = _through_settled_steps(
            plan, sides, trajectory, a_bar, b_bar, negligible
        )
        a_bar, b_bar = settled.a_bar, settled.b_bar
        if not waiting:
            flow = plan * (upstream - settled.a_sum - settled.b_sum)
        else:
            u, v = trajectory.u, trajectory.v
            of_rows, of_cols = [u * settled.a_sum, u], [v, v * settled.b_sum]
            flow, waiting = outer_products.add(waiting, of_rows, of_cols, kernel, flow)
        if sides.are_given:
            mass_bars = (settled.a_sum, settled.b_sum)
    carry = _Carry(kernel, None, a_bar, b_bar, flow, waiting, mass_bars)
    if trajectory.loop is None:
        for block in reversed(trajectory.head):
            carry = _through_block(z, sides, block, negligible, carry)
        return _whole(carry), *carry.mass_bars
    carry = _through_loop(z, sides, trajectory, negligible, carry)

    def through_head():
        last = _through_block(z, sides, trajectory.head[0], negligible, carry)
        return _whole(last), last.mass_bars

    z_bar, mass_bars = tf.cond(
        _is_left(carry), through_head, lambda: (_whole(carry), carry.mass_bars)
    )
    return z_bar, *mass_bars


def _none_waiting(kernel, trajectory):
    """Place for the outer products of large matrices; () for others, which need none."""
    if not is_large(kernel):
        return ()
    longest = max(trajectory.length, trajectory.head[0].u.shape[0])
    # The settled steps are one group, the first block another.
    return outer_products.none_waiting(kernel, 2 * longest, trajectory.blocks + 2)


def _whole(carry):
    """The gradient with respect to z, with all that waits."""
    if not carry.waiting:
        return carry.z_bar
    everywhere = tf.ones(tf.shape(carry.kernel)[:1], tf.bool)
    return outer_products.subtract(
        carry.waiting, carry.kernel, carry.z_bar, everywhere
    )[0]


def _sums(matrices, rows_axis):
    """The sums of the rows and of the columns."""
    if not is_large(matrices):
        return tuple(
            tf.reduce_sum(matrices, axis, keepdims=True)
            for axis in (3 - rows_axis, rows_axis)
        )
    # A product with ones takes a third of the time at N = 2048.
    of_rows, of_cols = matrices[:, :, :1], matrices[:, :1]
    if rows_axis == 2:
        of_rows, of_cols = of_cols, of_rows
    return (
        row_sums(matrices, tf.ones_like(of_cols), rows_axis),
        col_sums(matrices, tf.ones_like(of_rows), rows_axis),
    )


def _through_loop(z, sides, trajectory, negligible, carry):
    """As `_through_block`, for the blocks that are stacked."""

    def body(index, carry):
        block = tf.nest.map_structure(lambda x: x[index], trajectory.loop)
        return index - 1, _through_block(z, sides, block, negligible, carry)

    carry = carry._replace(stale=tf.zeros(tf.shape(z)[:1], tf.bool))
    return tf.while_loop(
        lambda index, carry: (index >= 0) & _is_left(carry),
        body,
        (tf.constant(trajectory.blocks - 1), carry),
        maximum_iterations=trajectory.blocks,
    )[1]


def _through_settled_steps(plan, sides, trajectory, a_bar, b_bar, negligible):
    """Takes gradients to before the iterations that changed nothing any more.

    The kernel of these iterations is the plan.

    Args:
        a_bar, b_bar: Gradients with respect to the log potentials at the end,
            `[B, N, 1]` and `[B, 1, M]`.

    Returns:
        A `_SettledCarry`: the gradients before these iterations, and the sums that
        make `-plan * (a_sum + b_sum)` the gradient with respect to the scaled logits.
    """

    def body(step, carry):
        a_bar, b_bar, a_sum, b_sum = carry
        live = (step < trajectory.settled)[:, None, None]
        zeros_a, zeros_b = tf.zeros_like(a_bar), tf.zeros_like(b_bar)
        a, b = tf.where(live, a_bar, zeros_a), tf.where(live, b_bar, zeros_b)
        for _ in range(trajectory.length):
            b = _per_mass(b, sides.cols)
            b_sum += b
            a = _per_mass(a - row_sums(plan, b, sides.rows_axis), sides.rows)
            a_sum += a
            b = -col_sums(plan, a, sides.rows_axis)
            a = zeros_a
        a_bar, b_bar = tf.where(live, a, a_bar), tf.where(live, b, b_bar)
        b_bar = _drop_negligible(b_bar, negligible, sides)
        return step + trajectory.length, _SettledCarry(a_bar, b_bar, a_sum, b_sum)

    carry = _SettledCarry(a_bar, b_bar, tf.zeros_like(a_bar), tf.zeros_like(b_bar))
    return tf.while_loop(
        lambda step, carry: tf.reduce_any(step < trajectory.settled) & _is_left(carry),
        body,
        (tf.constant(0), carry),
        maximum_iterations=trajectory.blocks,
    )[1]


def _through_block(z, sides, block, negligible, carry):
    """Takes the gradients after a block, a `_Carry`, to before it."""
    kernel, stale, a_bar, b_bar, z_bar, waiting, mass_bars = carry
    if stale is not None:
        if waiting:
            z_bar, waiting = outer_products.subtract(waiting, kernel, z_bar, stale)
        kernel = update_kernel(z, kernel, block.row_base, block.col_base, stale)
    taken = block.taken[:, None, None]
    zeros = tf.zeros_like(a_bar)
    a, b = tf.where(taken, a_bar, zeros), tf.where(taken, b_bar, tf.zeros_like(b_bar))
    us, vs = tf.unstack(block.u), [block.v_start, *tf.unstack(block.v)]
    # Within the block `a` is 0 except at its end, and `b` always occurs as `v * b`.
    minus_u_u = tf.unstack(_per_mass(-block.u * block.u, sides.rows))
    minus_v_v = tf.unstack(_per_mass(-block.v * block.v, sides.cols))
    moved_b = _per_mass(vs[-1] * b, sides.cols)
    of_rows, of_cols = [], []
    for step in reversed(range(len(us))):
        moved_a = minus_u_u[step] * row_sums(kernel, moved_b, sides.rows_axis)
        if step == len(us) - 1:
            moved_a += _per_mass(us[step] * a, sides.rows)
        if mass_bars:
            # `log u` moves with `log r`, by `a / r`, and `log v` with `log c`.
            mass_bars = (
                mass_bars[0] + tf.math.divide_no_nan(moved_a, us[step]),
                mass_bars[1] + tf.math.divide_no_nan(moved_b, vs[step + 1]),
            )
        of_rows += [us[step], moved_a]
        of_cols += [moved_b, vs[step]]
        sums = col_sums(kernel, moved_a, sides.rows_axis)
        if step:
            moved_b = minus_v_v[step - 1] * sums
    b = -block.v_start * sums
    if not waiting:
        z_bar -= kernel * sum_of_outer_products(of_rows, of_cols, sides.rows_axis)
    else:
        z_bar, waiting = outer_products.add(waiting, of_rows, of_cols, kernel, z_bar)
    b_bar = _drop_negligible(tf.where(taken, b, b_bar), negligible, sides)
    a_bar = tf.where(taken, zeros, a_bar)
    return _Carry(kernel, block.absorbed, a_bar, b_bar, z_bar, waiting, mass_bars)


def _per_mass(x, masses):
    """`x / masses`, and 0 where a mass is 0."""
    return x if masses is None else tf.math.divide_no_nan(x, masses)


def _negligible(a_bar, b_bar, sides):
    """Bounds below which gradients of log potentials, and of sides, do not count."""
    epsilon = np.finfo(a_bar.dtype.as_numpy_dtype).eps
    bounds = [tf.maximum(_largest(a_bar), _largest(b_bar))]
    if sides.are_given:
        by_rows, by_cols = _per_mass(a_bar, sides.rows), _per_mass(b_bar, sides.cols)
        bounds.append(tf.maximum(_largest(by_rows), _largest(by_cols)))
    return [epsilon * bound for bound in bounds]


def _drop_negligible(b_bar, negligible, sides):
    """`b_bar`, and 0 in an example where all of it is negligible."""
    drops = _largest(b_bar) <= negligible[0]
    if sides.are_given:
        # The gradient of a small mass is that of its log potential over the mass.
        drops &= _largest(_per_mass(b_bar, sides.cols)) <= negligible[1]
    return tf.where(drops, tf.zeros_like(b_bar), b_bar)


def _largest(x):
    return tf.reduce_max(tf.abs(x), axis=[1, 2], keepdims=True)


def _is_left(carry):
    """Whether any example still has a gradient to take further back."""
    return tf.reduce_any(carry.a_bar != 0) | tf.reduce_any(carry.b_bar != 0)
