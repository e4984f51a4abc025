"""Batch dimensions: many of them as one and back, and what stays within an example.

Sizes are Python ints as far as they are known. `tf.broadcast_dynamic_shape` would put
an op into the graph, `BroadcastArgs`, that other runtimes do not have.
"""

import math
import typing

import tensorflow as tf


class BatchDimensions(typing.NamedTuple):
    """The batch dimensions of matrices that were flattened to `[B, N, M]`."""

    shape: tf.Tensor | None
    """int32, the batch dimensions; None where they are `[B]` already."""
    static_shape: tf.TensorShape
    """The known part of them."""
    matrix_shape: tf.TensorShape
    """The known part of `[N, M]`."""

    def unflatten(self, flat, inner=None):
        """Gives a result `[B, ...]` the batch dimensions back.

        Args:
            flat: `[B, ...]`.
            inner: The known part of its other dimensions, if it is not the first ones of
                `[N, M]`.
        """
        rank = flat.shape.rank - 1
        if inner is None:
            inner = self.matrix_shape[:rank]
        if self.shape is None:
            result = flat
        else:
            shape = tf.concat([self.shape, sizes(flat, 1)], 0) if rank else self.shape
            result = tf.reshape(flat, shape)
        result.set_shape(self.static_shape.concatenate(inner))
        return result


def flatten(x, *others):
    """Broadcasts the batch dimensions of tensors, and makes one of all of them.

    Args:
        x: `[..., N, M]`.
        others: Pairs of a tensor, or None, and the number of its dimensions that are no
            batch dimensions: 0 for temperatures, 1 for masks.

    Returns:
        `([x, *others], batch)`: `[B, N, M]`, the others as `[B, ...]` or None, and the
        `BatchDimensions`.
    """
    given = [(other, rank) for other, rank in others if other is not None]
    if x.shape.rank == 3 and not given:
        batch = BatchDimensions(None, x.shape[:1], x.shape[1:])
        return [x, *(None for _ in others)], batch
    shape, static_shape = sizes(x, 0, -2), x.shape[:-2]
    for other, rank in given:
        # Only a tensor without other dimensions may have an unknown rank.
        stop = -rank if rank else None
        shape = _broadcast_sizes(shape, sizes(other, 0, stop))
        static_shape = tf.broadcast_static_shape(static_shape, other.shape[:stop])
    shape = tf.convert_to_tensor(shape, tf.int32)
    batch = BatchDimensions(shape, static_shape, x.shape[-2:])

    def flat(tensor, rank):
        return None if tensor is None else _flat(tensor, rank, shape, static_shape)

    return [flat(x, 2), *(flat(*other) for other in others)], batch


def _flat(tensor, rank, shape, static_shape):
    known, inner = tensor.shape, []
    if rank:
        known, inner = known[:-rank], sizes(tensor, -rank)
    if not (static_shape.is_fully_defined() and known == static_shape):
        whole = tf.concat([shape, inner], 0) if inner else shape
        tensor = tf.broadcast_to(tensor, whole)
    return tf.reshape(tensor, [-1, *inner])


def find_invalid(x):
    """Tells which examples hold NaN or +inf: `[B, N, M]` -> bool `[B]`."""
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

    def update_all():
        _, *updated = tf.while_loop(
            lambda start, *_: start < count, update_chunk, (0, *results)
        )
        return tuple(updated)

    # XLA computes parts of a loop's body before the loop, even of one that takes no step:
    # 0.45 s of 0.55 s for a proof of N = 1000 that needed none.
    return list(tf.cond(count > 0, update_all, lambda: tuple(results)))


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
    return tf.convert_to_tensor(_broadcast_sizes(a, b), tf.int32)


def _broadcast_sizes(a, b):
    if tf.is_tensor(a) or tf.is_tensor(b):
        return tf.broadcast_dynamic_shape(a, b)
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    extra = len(longer) - len(shorter)
    pairs = zip(longer[extra:], shorter, strict=True)
    return [*longer[:extra], *(_broadcast_size(*pair) for pair in pairs)]


def _broadcast_size(a, b):
    if isinstance(a, int) and a != 1:
        return a
    if isinstance(b, int):
        return a if b == 1 else b
    return b if isinstance(a, int) else tf.where(a == 1, b, a)
