"""Conversion and checks of the arguments that the public functions share.

A value that is known in Python is checked in Python: one of the wrong kind raises
`WrongKindError`, one out of range ValueError. A value that only a graph knows cannot
raise there, since XLA drops asserts, so a bad temperature becomes NaN.
"""

import numbers
import sys
import typing

import keras
import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.conversion import known_array, to_numbers
from sinkhorn_tf._core.refusals import CONVERSION_ERRORS, WrongKindError, shown

if typing.TYPE_CHECKING:
    # Type checkers see no type in TensorFlow's own.
    TensorLike: typing.TypeAlias = typing.Any
else:
    TensorLike = tf.types.experimental.TensorLike

_FLOATS = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
_LARGEST_COUNT = 2**31 - 1


def to_logits(logits, *, integers=False, name="logits"):
    """Converts and checks logits of shape `[..., N, M]`."""
    logits = to_numbers(logits, name, keeps_integers=integers)
    if not (logits.dtype in _FLOATS or (integers and logits.dtype.is_integer)):
        expected = "floating point or integer" if integers else "floating point"
        raise WrongKindError(
            f"{name} must be {expected}; cast first. "
            f"Received: {name}.dtype={logits.dtype.name}"
        )
    shape = logits.shape
    if shape.rank is None:
        raise ValueError(
            f"{name} must have a known rank to tell batch dimensions from [N, M]. "
            f"Received: {name} of unknown rank"
        )
    if shape.rank < 2 or 0 in shape[-2:]:
        raise ValueError(
            f"{name} must have shape [..., N, M] with N, M >= 1 (a mask can leave out all "
            f"of them). Received: {name}.shape={tuple(shape)}"
        )
    return logits


def to_masks(row_mask, col_mask, logits):
    """Converts and checks masks of the rows `[..., N]` and columns `[..., M]`.

    Args:
        row_mask, col_mask: Booleans, or None; symbolic ones of Keras stay as they are.
        logits: `[..., N, M]`, whose batch dimensions the masks broadcast against.

    Returns:
        The two masks as bool tensors, or None where None is given.
    """
    return (
        _to_mask(row_mask, "row_mask", logits.shape, -2),
        _to_mask(col_mask, "col_mask", logits.shape, -1),
    )


def _to_mask(value, name, logits_shape, axis):
    if value is None:
        return None
    mask = to_booleans(value, name)
    check_members(tf.TensorShape(mask.shape), name, logits_shape, axis)
    return mask


def to_booleans(value, name):
    """Converts a mask of any shape."""
    try:
        # A mask of a model that is being built has a dtype and a shape alone.
        is_symbolic = isinstance(value, keras.KerasTensor)
        mask = value if is_symbolic else tf.convert_to_tensor(value)
    except CONVERSION_ERRORS as error:
        raise WrongKindError(
            f"{name} must be booleans. Received: {name}={shown(value)}"
        ) from error
    dtype = tf.as_dtype(mask.dtype)
    if dtype != tf.bool:
        raise WrongKindError(
            f"{name} must be booleans, False where something does not exist. "
            f"Received: {name}.dtype={dtype.name}"
        )
    return mask


def is_square(shape):
    """Whether a shape of known rank can be `[..., N, N]` with N >= 1."""
    square = shape.rank >= 2 and shape[-2:].is_compatible_with(shape[-2:][::-1])
    return square and 0 not in shape[-2:]


def fit(a, b):
    """Whether two static shapes broadcast."""
    try:
        tf.broadcast_static_shape(tf.TensorShape(a), tf.TensorShape(b))
    except ValueError:
        return False
    return True


def check_members(shape, name, logits_shape, axis):
    """Checks the shape of values of the rows (axis -2) or columns (axis -1) of logits."""
    batch = logits_shape[:-2]
    if are_members(shape, batch, logits_shape[axis]):
        return
    letter, other = ("N", -1) if axis == -2 else ("M", -2)
    swapped = are_members(shape, batch, logits_shape[other])
    kind = name.partition("_")[2]
    hint = f" (row_{kind} and col_{kind} swapped?)" if swapped else ""
    raise ValueError(
        f"{name} must have shape [..., {letter}], with batch dimensions that broadcast "
        f"against those of the logits [..., N, M]{hint}. Received: "
        f"{name}.shape={shape}, logits.shape={tuple(logits_shape)}"
    )


def are_members(shape, batch, size):
    """Whether a shape is that of `size` members with batch dimensions that broadcast."""
    return not (
        shape.rank is None
        or shape.rank < 1
        or (0 in shape[:-1] and 0 not in batch)
        or not shape[-1:].is_compatible_with([size])
        or not fit(shape[:-1], batch)
    )


def to_positive(value, name, dtype, batch=None):
    """Converts a positive and finite scale, such as a temperature.

    A bad Python value or eager tensor raises; a bad value inside a trace gives NaN.

    Args:
        value, name, dtype: As in `to_numbers`.
        batch: Batch dimensions that the scale must broadcast against, or None for any.
    """
    return _to_number(value, name, dtype, batch, lambda x: x > 0, "positive and finite")


def to_non_negative(value, name, dtype, batch=None):
    """Converts a scale that may be 0, as `to_positive` does."""
    valid, description = lambda x: x >= 0, "at least 0 and finite"
    return _to_number(value, name, dtype, batch, valid, description)


def to_finite(value, name, dtype, batch=None):
    """Converts a number of any sign, such as a score, as `to_positive` does."""
    return _to_number(value, name, dtype, batch, lambda _: True, "finite")


def _to_number(value, name, dtype, batch, valid, description):
    tensor = to_numbers(value, name, dtype)
    array = known_array(value, tensor)
    if array is not None and not np.all(np.isfinite(array) & valid(array)):
        raise ValueError(
            f"{name} must be {description}. Received: {name}={shown(value)}"
        )
    if batch is not None:
        check_broadcasts(tensor.shape, name, batch)
    if array is not None:
        return tensor
    good = tf.math.is_finite(tensor) & valid(tensor)
    return tf.where(good, tensor, tf.constant(np.nan, dtype))


def check_broadcasts(shape, name, batch):
    """Checks that a static shape broadcasts against batch dimensions."""
    # An empty temperature broadcasts against a single example, and drops it.
    drops = shape.rank is not None and 0 in shape and 0 not in batch
    if drops or not fit(shape, batch):
        raise ValueError(
            f"{name} must broadcast against the batch dimensions {tuple(batch)}. "
            f"Received: {name}.shape={tuple(shape)}"
        )


def to_count(value, name, minimum):
    """Checks a Python or NumPy integer >= `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise WrongKindError(
            f"{name} must be a Python int. Received: {name}={shown(value)}"
        )
    if value < minimum:
        raise ValueError(
            f"{name} must be >= {minimum}. Received: {name}={shown(value)}"
        )
    if value > _LARGEST_COUNT:
        raise ValueError(
            f"{name} must be at most {_LARGEST_COUNT}. Received: {name}={shown(value)}"
        )
    return int(value)


def to_bool(value, name):
    """Checks a Python or NumPy bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise WrongKindError(
            f"{name} must be True or False. Received: {name}={shown(value)}"
        )
    return bool(value)


def to_jit_compile(value):
    """Checks `jit_compile`: None, True or False."""
    if value is None:
        return None
    if not isinstance(value, (bool, np.bool_)):
        raise WrongKindError(
            "jit_compile must be None, True or False. "
            f"Received: jit_compile={shown(value)}"
        )
    return bool(value)


def to_tolerance(value, name):
    """Checks a Python or NumPy number > 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise WrongKindError(
            f"{name} must be a number > 0. Received: {name}={shown(value)}"
        )
    if not 0 < value <= sys.float_info.max:
        raise ValueError(
            f"{name} must be a finite number > 0. Received: {name}={shown(value)}"
        )
    return float(value)


def to_stopping(tolerance, gradient):
    """Checks the tolerance of iterations, or None, and the name of their derivative."""
    if tolerance is not None:
        tolerance = to_tolerance(tolerance, "tolerance")
    if not isinstance(gradient, str) or gradient not in ("unrolled", "implicit"):
        error = ValueError if isinstance(gradient, str) else WrongKindError
        raise error(
            "gradient must be 'unrolled' or 'implicit'. "
            f"Received: gradient={shown(gradient)}"
        )
    return tolerance, gradient


def to_dtype(dtype, name):
    """Checks the dtype of a result: numbers or booleans."""
    try:
        result = tf.as_dtype(dtype)
    except TypeError as error:
        raise WrongKindError(
            f"{name} must be a dtype of numbers. Received: {name}={shown(dtype)}"
        ) from error
    if not (result.is_floating or result.is_integer or result.is_bool):
        raise WrongKindError(
            f"{name} must be a dtype of real numbers or booleans. "
            f"Received: {name}={shown(dtype)}"
        )
    return result


def to_permutation_lists(perm, name):
    """Converts permutation lists `[..., N]` to int32.

    An integer beyond 32 bits becomes the largest or smallest one of 32 bits, which is
    no position either.
    """
    perm = to_numbers(perm, name, keeps_integers=True)
    if not perm.dtype.is_integer:
        raise WrongKindError(
            f"{name} must be permutation lists, of integers of at most 64 bits. "
            f"Received: {name}.dtype={perm.dtype.name}"
        )
    if perm.shape.rank is None or perm.shape.rank < 1:
        raise ValueError(
            f"{name} must have shape [..., N]. Received: {name}.shape={perm.shape}"
        )
    if perm.dtype.size < 4 or perm.dtype == tf.int32:
        return tf.cast(perm, tf.int32)
    wide = tf.cast(perm, tf.int64)
    if perm.dtype == tf.uint64:
        # An integer beyond int64 has become negative, and -1 means something.
        wide = tf.where(wide < 0, tf.int64.max, wide)
    return tf.saturate_cast(wide, tf.int32)


def compute_dtype(dtype):
    """The dtype an operator computes in: float64 for float64, float32 for the others."""
    return tf.float64 if dtype == tf.float64 else tf.float32
