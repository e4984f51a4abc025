"""Arguments of the functions of permutations: converted and checked."""

import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.conversion import to_numbers
from sinkhorn_tf._core.refusals import CONVERSION_ERRORS, WrongKindError, shown


def to_n_positions(n_positions, perm) -> typing.Any:
    """The number of positions, an int or a scalar int32 tensor: that of items for None."""
    if n_positions is None:
        return batching.static_or_dynamic(perm, -1)
    if not tf.is_tensor(n_positions):
        return arguments.to_count(n_positions, "n_positions", 1)
    if not n_positions.dtype.is_integer or n_positions.shape.rank != 0:
        raise WrongKindError(
            "n_positions must be an int or a scalar int tensor. "
            f"Received: n_positions={shown(n_positions)}"
        )
    known = tf.get_static_value(n_positions)
    if known is not None:
        return arguments.to_count(known, "n_positions", 1)
    return tf.saturate_cast(n_positions, tf.int32)


def to_items(items):
    """Converts items of any dtype."""
    try:
        return tf.convert_to_tensor(items)
    except CONVERSION_ERRORS as error:
        raise WrongKindError(
            "items must be an array of numbers, booleans or strings. "
            f"Received: items={shown(items)}"
        ) from error


def to_shape(batch_shape, name="batch_shape"):
    """Converts batch dimensions, or a single one, to an int32 tensor of rank 1."""
    shape = batch_shape
    if isinstance(shape, tf.TensorShape):
        shape = tuple(shape)
    if isinstance(shape, (list, tuple)) and not shape:
        return tf.constant([], tf.int32)
    shape = to_numbers(shape, name, keeps_integers=True)
    known = tf.get_static_value(shape)
    if not shape.dtype.is_integer or (shape.shape.rank or 0) > 1:
        raise WrongKindError(
            f"{name} must be a tuple of ints. Received: {name}={shown(batch_shape)}"
        )
    if known is not None and not ((known >= 0) & (known < 2**31)).all():
        raise ValueError(
            f"{name} must be ints >= 0 that fit into 32 bits. "
            f"Received: {name}={shown(batch_shape)}"
        )
    # An int64 of a graph that is beyond 32 bits fails later instead of wrapping.
    return tf.reshape(tf.saturate_cast(shape, tf.int32), [-1])
