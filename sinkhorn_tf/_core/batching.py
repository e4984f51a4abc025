"""Batch dimensions: what they broadcast to, and many of them made one.

Sizes are Python ints as far as they are known. `tf.broadcast_dynamic_shape` would put
an op into the graph, `BroadcastArgs`, that other runtimes do not have.
"""

import tensorflow as tf

from sinkhorn_tf._core.arguments import static_or_dynamic


def flatten(x, temperature):
    """Broadcasts logits and temperatures against each other, as one batch dimension.

    Args:
        x: `[..., N, N]`.
        temperature: Broadcasts against the batch dimensions of `x`.

    Returns:
        `(x, t, batch_shape, static_shape)`: `[B, N, N]`, `[B]`, the broadcast batch
        dimensions as an int32 tensor, and what is known of them.
    """
    n = static_or_dynamic(x, -1)
    batch_shape = broadcast_shape(sizes(x, 0, -2), sizes(temperature))
    static_shape = tf.broadcast_static_shape(x.shape[:-2], temperature.shape)
    is_broadcast = x.shape[:-2] == static_shape and static_shape.is_fully_defined()
    if temperature.shape.rank != 0 and not is_broadcast:
        x = tf.broadcast_to(x, tf.concat([batch_shape, [n, n]], 0))
    x = tf.reshape(x, [-1, n, n])
    t = tf.reshape(tf.broadcast_to(temperature, batch_shape), [-1])
    return x, t, batch_shape, static_shape


def sizes(tensor, start=0, stop=None):
    """The sizes of the axes from `start` to `stop`: a list of ints, or of scalars.

    Those of all axes of a tensor of unknown rank are an int32 tensor.
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
