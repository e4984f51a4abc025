"""Conversion of masks, which tell what exists."""

import tensorflow as tf

from sinkhorn_tf._core.batching import fit
from sinkhorn_tf._core.refusals import CONVERSION_ERRORS, WrongKindError, shown


def to_mask(value, name, batch, size, expected, other):
    """Converts and checks one mask.

    Args:
        value: Booleans `[..., size]`, or None.
        name: Name of the argument.
        batch: Batch dimensions that the mask must broadcast against.
        size: Size of its last axis, or None.
        expected: Text of the shape that the mask must have.
        other: Text of the other shapes received.
    """
    if value is None:
        return None
    try:
        mask = tf.convert_to_tensor(value)
    except CONVERSION_ERRORS as error:
        raise WrongKindError(
            f"{name} must be booleans. Received: {name}={shown(value)}"
        ) from error
    if mask.dtype != tf.bool:
        raise WrongKindError(
            f"{name} must be booleans, False where something does not exist. "
            f"Received: {name}.dtype={mask.dtype.name}"
        )
    shape = mask.shape
    drops = shape.rank is not None and 0 in shape[:-1] and 0 not in batch
    if (
        shape.rank is None
        or shape.rank < 1
        or drops
        or not shape[-1:].is_compatible_with([size])
        or not fit(shape[:-1], batch)
    ):
        raise ValueError(
            f"{name} must have shape {expected}. "
            f"Received: {name}.shape={shape}, {other}"
        )
    return mask
