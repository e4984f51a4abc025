"""Sums of outer products that wait until many are together.

The gradient of a large matrix is `flow - K * (sum of outer products)`, two products for each
iteration. Each block of iterations by itself would write the matrix three times: at
N = 2048, t = 0.05, this takes twice as long as the products with K. Here pairs of vectors
wait until the kernel changes or their places are taken.
"""

import typing

import tensorflow as tf

from sinkhorn_tf._core import batching

# Pairs that wait at most: 48 take 1.5 times as long as 6 at N = 2048.
_MAX_PAIRS = 64


class Waiting(typing.NamedTuple):
    """Pairs of vectors that wait, in equal groups; those of a free place are 0."""

    rows: tf.Tensor  # [places, B, N, pairs]
    cols: tf.Tensor  # [places, B, pairs, M]
    count: tf.Tensor  # int32, how many places are taken


def none_waiting(kernel, pairs, groups):
    """A `Waiting` without pairs.

    Args:
        kernel: `[B, N, M]`.
        pairs: The number of pairs in a group, Python int.
        groups: The number of groups that will come, Python int.
    """
    places = min(groups, max(_MAX_PAIRS // pairs, 1))
    rows = tf.repeat(tf.zeros_like(kernel[:, :, :1])[None], places, 0)
    cols = tf.repeat(tf.zeros_like(kernel[:, :1])[None], places, 0)
    rows, cols = tf.repeat(rows, pairs, 3), tf.repeat(cols, pairs, 2)
    return Waiting(rows, cols, tf.constant(0))


def add(waiting, us, vs, kernel, total):
    """Adds a group of pairs; subtracts all from the total once no place is left.

    Args:
        waiting: The `Waiting`, with a free place.
        us, vs: Lists of `[B, N, 1]` and `[B, 1, M]`, of at most the number of a group.
        kernel, total: `[B, N, M]`.

    Returns:
        `(total, waiting)`.
    """
    missing = waiting.rows.shape[3] - len(us)
    rows = tf.concat([*us, *[tf.zeros_like(us[0])] * missing], 2)
    cols = tf.concat([*vs, *[tf.zeros_like(vs[0])] * missing], 1)
    place = waiting.count[None, None]
    waiting = Waiting(
        tf.tensor_scatter_nd_update(waiting.rows, place, rows[None]),
        tf.tensor_scatter_nd_update(waiting.cols, place, cols[None]),
        waiting.count + 1,
    )
    full = waiting.count == waiting.rows.shape[0]
    examples = tf.fill(tf.shape(kernel)[:1], full)
    total, waiting = subtract(waiting, kernel, total, examples)
    return total, waiting._replace(count=tf.where(full, 0, waiting.count))


def subtract(waiting, kernel, total, examples):
    """Subtracts `kernel * sum of u v` from the total in some examples.

    Their pairs become 0, at their places: no other example's total depends on it.

    Args:
        waiting: The `Waiting`.
        kernel, total: `[B, N, M]`.
        examples: bool `[B]`.

    Returns:
        `(total, waiting)`.
    """

    def apply():
        products = kernel * tf.matmul(
            tf.concat(tf.unstack(waiting.rows), 2),
            tf.concat(tf.unstack(waiting.cols), 1),
        )
        mask = examples[None, :, None, None]
        return (
            _less(total, products, examples),
            tf.where(mask, tf.zeros_like(waiting.rows), waiting.rows),
            tf.where(mask, tf.zeros_like(waiting.cols), waiting.cols),
        )

    total, rows, cols = tf.cond(
        tf.reduce_any(examples), apply, lambda: (total, waiting.rows, waiting.cols)
    )
    return total, Waiting(rows, cols, waiting.count)


def _less(total, products, examples):
    if total.shape[0] == 1:
        return total - products
    return batching.where(examples, total - products, total)
