"""The derivative of the Sinkhorn iterations, step by step back.

With `b = -log(K^T u)` and `a = -log(K v)` each half step costs one product, and the
N x N gradient of a segment is collected as one product over all its steps.
"""

import tensorflow as tf

from sinkhorn_tf.domains import (
    col_sums,
    log_kernel_around,
    row_sums,
    select,
    shifted,
)


def unrolled_gradient(z, plan, saved, upstream, *, masked):
    """Gradient with respect to the scaled logits of the steps that were taken.

    Args:
        z, plan, saved: As given to and returned by `scaling.iterate`.
        upstream: Gradient with respect to the plan, `[B, N, N]`.
        masked: Whether a tolerance was given, so that examples may have stopped.

    Returns:
        Gradient with respect to `z`, `[B, N, N]`.
    """
    z_bar = upstream * plan
    carry = (tf.reduce_sum(z_bar, 2), tf.reduce_sum(z_bar, 1), z_bar)
    for count, segments in reversed(saved):

        def body(index, *carry, segments=segments):
            segment = tf.nest.map_structure(lambda x: x[index], segments)
            return index - 1, *_segment_gradient(z, segment, masked, *carry)

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


def _segment_gradient(z, segment, masked, row_bar, col_bar, z_bar):
    """Takes the gradients at a segment's end to its start.

    Args:
        masked: Whether there may be examples that did not take a step.
        row_bar, col_bar: Gradients with respect to the log potentials, `[B, N]`.
        z_bar: Gradient with respect to `z` collected so far.
    """
    log_kernel = log_kernel_around(z, segment.row_base, segment.col_base)
    kernel = tf.exp(log_kernel)
    zeros = tf.zeros_like(row_bar)
    length = segment.u.shape[0]

    def taken(step, if_taken, otherwise):
        if not masked:
            return if_taken
        return tf.where(segment.active[step][:, None], if_taken, otherwise)

    def in_kernel_domain():
        v_start = tf.exp(segment.log_v_start)
        a_bar, b_bar, left, right = row_bar, col_bar, [], []
        for step in reversed(range(length)):
            u, v = segment.u[step], segment.v[step]
            previous_v = segment.v[step - 1] if step else v_start
            moved_b = v * taken(step, b_bar, zeros)
            a_total = a_bar - u * row_sums(kernel, moved_b)
            moved_a = u * taken(step, a_total, zeros)
            b_total = -previous_v * col_sums(kernel, moved_a)
            left += [u, moved_a]
            right += [moved_b, previous_v]
            a_bar = taken(step, zeros, a_bar)
            b_bar = taken(step, b_total, b_bar)
        outer = tf.einsum("lbi,lbj->bij", tf.stack(left), tf.stack(right))
        return a_bar, b_bar, z_bar - kernel * outer

    def in_log_domain():
        earlier_v = tf.concat([segment.log_v_start[None], segment.v[:-1]], axis=0)

        def body(step, a_bar, b_bar, total):
            u, v = segment.u[step], segment.v[step]
            flow = tf.exp(shifted(u, log_kernel, v))
            flow *= taken(step, b_bar, zeros)[:, None, :]
            a_total = taken(step, a_bar - tf.reduce_sum(flow, 2), zeros)
            back_flow = tf.exp(shifted(u, log_kernel, earlier_v[step]))
            back_flow *= a_total[:, :, None]
            a_bar = taken(step, zeros, a_bar)
            b_bar = taken(step, -tf.reduce_sum(back_flow, 1), b_bar)
            return step - 1, a_bar, b_bar, total - flow - back_flow

        return tf.while_loop(
            lambda step, *_: step >= 0,
            body,
            (tf.constant(length - 1), row_bar, col_bar, z_bar),
            maximum_iterations=length,
        )[1:]

    return select(segment.is_kernel, in_kernel_domain, in_log_domain)
