"""The Sinkhorn iterations that were taken, as the backward pass needs them."""

import typing

import tensorflow as tf


class Block(typing.NamedTuple):
    """A block of iterations, as the backward pass needs it.

    Attributes:
        row_base, col_base: Bases during the block, `[B, N, 1]` and `[B, 1, M]`.
        v_start: Scalings of the columns before the block, `[B, 1, M]`.
        u, v: Scalings after each step, `[length, B, N, 1]` and `[length, B, 1, M]`.
        taken: Whether the example took the block, bool `[B]`.
        absorbed: Whether its base changed just before the block, bool `[B]`; None if
            it cannot have changed.
    """

    row_base: tf.Tensor
    col_base: tf.Tensor
    v_start: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    taken: tf.Tensor
    absorbed: tf.Tensor | None


class Trajectory(typing.NamedTuple):
    """The iterations that were taken, for the backward pass.

    Attributes:
        head: The first blocks, in their order.
        loop: The blocks after them, each part stacked with the block as the first
            axis; None if there are none.
        kernel: The kernel of the last base, `[B, N, M]`; None for large matrices, of which
            the backward pass makes it again.
        row_base, col_base: The last base, `[B, N, 1]` and `[B, 1, M]`.
        u, v: The last scalings, `[B, N, 1]` and `[B, 1, M]`.
        settled: How many iterations were not taken because they would have changed
            nothing, int32 `[B]`; None if that was not checked.
        blocks, length: The largest number of blocks after the first one, and the
            number of iterations in each of them, Python ints.
    """

    head: list[Block]
    loop: Block | None
    kernel: tf.Tensor | None
    row_base: tf.Tensor
    col_base: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    settled: tf.Tensor | None
    blocks: int
    length: int
