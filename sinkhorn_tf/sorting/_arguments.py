"""Arguments of the functions that sort: values, their axis, direction and mask."""

import numbers
import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.conversion import to_numbers
from sinkhorn_tf._core.refusals import WrongKindError, shown


class Values(typing.NamedTuple):
    """Values to sort along their last axis.

    Attributes:
        x: `[..., N]`.
        mask: bool `[..., N]`, False for values that do not exist; None if all do.
        descending: Whether the largest comes first.
        axis: The axis of the argument that became the last one, < 0.
    """

    x: tf.Tensor
    mask: tf.Tensor | None
    descending: bool
    axis: int

    def back(self, result):
        """A result `[..., K]` with its last axis where that of the argument was."""
        return move_axis(result, -1, self.axis)


def to_values(values):
    """Converts values `[..., N]`, N >= 1 or unknown."""
    values = to_numbers(values, "values")
    if not values.dtype.is_floating:
        raise WrongKindError(
            "values must be floating point; cast them first. "
            f"Received: values.dtype={values.dtype.name}"
        )
    if values.shape.rank is None or values.shape.rank < 1 or values.shape[-1] == 0:
        raise ValueError(
            "values must have shape [..., N] with N >= 1. "
            f"Received: values.shape={values.shape}"
        )
    return values


def to_mask(mask, values):
    """Converts a mask of values `[..., N]`, or None."""
    if mask is None:
        return None
    mask = arguments.to_booleans(mask, "mask")
    shape = tf.TensorShape(mask.shape)
    if not arguments.are_members(shape, values.shape[:-1], values.shape[-1]):
        raise ValueError(
            "mask must have shape [..., N], with batch dimensions that broadcast against "
            f"those of the values. Received: mask.shape={shape}, "
            f"values.shape={tuple(values.shape)}"
        )
    return mask


def to_sortable(values, axis, direction, mask):
    """Converts all of them.

    Args:
        values: Floating point, of any shape with a known size of the axis.
        axis: Int.
        direction: `"ASCENDING"` or `"DESCENDING"`.
        mask: Booleans like the values, or `[N]` along the axis, or None.

    Returns:
        The `Values`.
    """
    values = to_numbers(values, "values")
    rank = values.shape.rank
    if isinstance(axis, bool) or not isinstance(axis, numbers.Integral):
        raise WrongKindError(f"axis must be an int. Received: axis={shown(axis)}")
    if rank and not -rank <= axis < rank:
        raise ValueError(
            f"axis must be from {-rank} to {rank - 1} for values of {rank} dimensions. "
            f"Received: axis={axis}"
        )
    if not isinstance(direction, str) or direction.upper() not in (
        "ASCENDING",
        "DESCENDING",
    ):
        error = ValueError if isinstance(direction, str) else WrongKindError
        raise error(
            "direction must be 'ASCENDING' or 'DESCENDING'. "
            f"Received: direction={shown(direction)}"
        )
    axis = int(axis)
    if rank:
        # Counted from the end, since a mask may have more batch dimensions.
        axis = axis % rank - rank
        values = move_axis(values, axis, -1)
        if mask is not None:
            mask = arguments.to_booleans(mask, "mask")
            if tf.TensorShape(mask.shape).rank == rank:
                mask = move_axis(mask, axis, -1)
    values = to_values(values)
    if values.shape[-1] is None:
        raise ValueError(
            "values must have a known size of the axis that is sorted. "
            f"Received: values.shape={values.shape}"
        )
    mask = to_mask(mask, values)
    if mask is not None:
        # What does not exist must reach neither a result nor a derivative.
        values = tf.where(mask, values, tf.zeros([], values.dtype))
    return Values(values, mask, direction.upper() == "DESCENDING", axis)


def move_axis(x, source, destination):
    """`x` with one axis elsewhere."""
    rank = x.shape.rank
    source, destination = source % rank, destination % rank
    if source == destination:
        return x
    order = [axis for axis in range(rank) if axis != source]
    order.insert(destination, source)
    return tf.transpose(x, order)
