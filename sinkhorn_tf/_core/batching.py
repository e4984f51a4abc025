"""Batch dimensions: many of them as one and back, and what stays within an example.

Sizes are Python ints as far as they are known. `tf.broadcast_dynamic_shape` would put
an op into the graph, `BroadcastArgs`, that other runtimes do not have.
"""

import math
import typing

import tensorflow as tf


class BatchDimensions(typing.NamedTuple):
    """The batch dimensions of matrices that were flattened to `[B, N, N]`."""

    shape: tf.Tensor | None
    """int32, the batch dimensions; None where they are `[B]` already."""
    static_shape: tf.TensorShape
    """The known part of the whole shape `[..., N, N]`."""

    def unflatten(self, flat):
        """Gives a result `[B, ...]` the batch dimensions back."""
        if self.shape is None:
            return flat
        inner = sizes(flat, 1)
        shape = tf.concat([self.shape, inner], 0) if inner else self.shape
        result = tf.reshape(flat, shape)
        rank = self.static_shape.rank - 2 + len(inner)
        result.set_shape(self.static_shape[:rank])
        return result


def flatten(x):
    """Makes one batch dimension of all of them.

    Args:
        x: `[..., N, N]`.

    Returns:
        `(x, batch)`: `[B, N, N]`, and its `BatchDimensions`.
    """
    if x.shape.rank == 3:
        return x, BatchDimensions(None, x.shape)
    n = static_or_dynamic(x, -1)
    return tf.reshape(x, [-1, n, n]), BatchDimensions(tf.shape(x)[:-2], x.shape)


def flatten_with(x, temperature):
    """Broadcasts matrices and temperatures, and makes one batch dimension of all.

    Args:
        x: `[..., N, N]`.
        temperature: Broadcasts against the batch dimensions of `x`.

    Returns:
        `(x, t, batch)`: `[B, N, N]`, `[B]`, and their `BatchDimensions`.
    """
    n = static_or_dynamic(x, -1)
    shape = broadcast_shape(sizes(x, 0, -2), sizes(temperature))
    static_shape = tf.broadcast_static_shape(x.shape[:-2], temperature.shape)
    batch = BatchDimensions(shape, static_shape.concatenate(x.shape[-2:]))
    is_broadcast = x.shape[:-2] == static_shape and static_shape.is_fully_defined()
    if temperature.shape.rank != 0 and not is_broadcast:
        x = tf.broadcast_to(x, tf.concat([shape, [n, n]], 0))
    x = tf.reshape(x, [-1, n, n])
    t = tf.reshape(tf.broadcast_to(temperature, shape), [-1])
    return x, t, batch


def find_invalid(x):
    """Tells which examples hold NaN or +inf: `[B, N, N]` -> bool `[B]`."""
    return ~tf.reduce_all(x < math.inf, axis=[1, 2])


def where(examples, x, y):
    """Takes `x` in some examples and `y` in the others.

    Args:
        examples: bool `[B]`.
        x, y: Tensors `[B, ...]` of the same rank, or scalar tensors.
    """
    rank = max(x.shape.rank, y.shape.rank)
    return tf.where(examples[(slice(None), *[None] * (rank - 1))], x, y)


def update_in_chunks(update, inputs, results, needed, size):
    """Replaces the results of the examples that need it, a few examples at a time.

    Args:
        update: Function of the `inputs` of some examples that returns a tuple, the new
            `results` of these.
        inputs: Tensors `[B, ...]`.
        results: Tuple of tensors `[B, N]`.
        needed: bool `[B]`, the examples to update.
        size: Number of examples at a time, an int or a scalar tensor.

    Returns:
        List of tensors `[B, N]`, the same as in `results` where not `needed`.
    """
    batch = tf.shape(needed)[0]
    count = tf.reduce_sum(tf.cast(needed, tf.int32))
    order = tf.argsort(tf.cast(~needed, tf.int32), stable=True)
    size = tf.minimum(size, batch)
    chunk = tf.range(size)

    def update_chunk(start, *results):
        # The last chunk may repeat an example, or hold some that need nothing.
        index = tf.gather(order, tf.minimum(start + chunk, batch - 1))
        replaces = tf.gather(needed, index)[:, None]
        parts = update(*(tf.gather(each, index) for each in inputs))
        return start + size, *(
            tf.tensor_scatter_nd_update(
                whole, index[:, None], tf.where(replaces, part, tf.gather(whole, index))
            )
            for whole, part in zip(results, parts, strict=True)
        )

    _, *results = tf.while_loop(
        lambda start, *_: start < count, update_chunk, (0, *results)
    )
    return results


def static_or_dynamic(tensor, axis):
    """The size of an axis: an int if it is known, otherwise a scalar tensor."""
    size = tensor.shape[axis]
    return tf.shape(tensor)[axis] if size is None else size


def sizes(tensor, start=0, stop=None):
    """The sizes of the axes from `start` to `stop`: a list of ints, or of scalars.

    For a tensor of unknown rank all its sizes come as an int32 tensor.
    """
    if tensor.shape.rank is None:
        return tf.shape(tensor)
    axes = range(*slice(start, stop).indices(tensor.shape.rank))
    return [static_or_dynamic(tensor, axis) for axis in axes]


def broadcast_shape(a, b):
    """The int32 shape that two shapes, as `sizes` returns them, broadcast to."""
    if tf.is_tensor(a) or tf.is_tensor(b):
        return tf.broadcast_dynamic_shape(a, b)
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    extra = len(longer) - len(shorter)
    pairs = zip(longer[extra:], shorter, strict=True)
    shape = [*longer[:extra], *(_broadcast_size(*pair) for pair in pairs)]
    return tf.convert_to_tensor(shape, tf.int32)


def _broadcast_size(a, b):
    if isinstance(a, int) and a != 1:
        return a
    if isinstance(b, int):
        return a if b == 1 else b
    return b if isinstance(a, int) else tf.where(a == 1, b, a)
