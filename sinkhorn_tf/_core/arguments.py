"""Conversion and checks of the arguments that the public functions share.

A value that is known in Python is checked in Python: one of the wrong kind raises
`WrongKindError`, one out of range ValueError. A value that only a graph knows cannot
raise there, since XLA drops asserts, so a bad temperature becomes NaN.
"""

import numbers
import sys
import typing

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


def to_logits(logits, *, integers=False):
    """Converts and checks logits of shape `[..., N, M]`."""
    logits = to_numbers(logits, "logits", keeps_integers=integers)
    if not (logits.dtype in _FLOATS or (integers and logits.dtype.is_integer)):
        expected = "floating point or integer" if integers else "floating point"
        raise WrongKindError(
            f"logits must be {expected}; cast them first. "
            f"Received: logits.dtype={logits.dtype.name}"
        )
    shape = logits.shape
    if shape.rank is None:
        raise ValueError(
            "logits need a known rank to tell batch dimensions from [N, M]. "
            "Received: logits of unknown rank"
        )
    if shape.rank < 2 or 0 in shape[-2:]:
        raise ValueError(
            "logits must have shape [..., N, M] with N, M >= 1 (a mask can leave out all "
            f"of them). Received: logits.shape={tuple(shape)}"
        )
    return logits


def to_masks(row_mask, col_mask, logits):
    """Converts and checks masks of the rows `[..., N]` and columns `[..., M]`.

    Args:
        row_mask, col_mask: Booleans, or None.
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
    check_members(mask.shape, name, logits_shape, axis)
    return mask


def to_booleans(value, name):
    """Converts a mask of any shape."""
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
    batch, size = logits_shape[:-2], logits_shape[axis]
    if (
        shape.rank is None
        or shape.rank < 1
        or (0 in shape[:-1] and 0 not in batch)
        or not shape[-1:].is_compatible_with([size])
        or not fit(shape[:-1], batch)
    ):
        letter = "N" if axis == -2 else "M"
        raise ValueError(
            f"{name} must have shape [..., {letter}], with batch dimensions that "
            f"broadcast against those of the logits [..., N, M]. Received: "
            f"{name}.shape={shape}, logits.shape={tuple(logits_shape)}"
        )


def to_positive(value, name, dtype, batch=None):
    """Converts a positive and finite scale, such as a temperature.

    A bad Python value or eager tensor raises; a bad value inside a trace gives NaN.

    Args:
        value, name, dtype: As in `to_numbers`.
        batch: Batch dimensions that the scale must broadcast against, or None for any.
    """
    return _to_scale(value, name, dtype, batch, lambda x: x > 0, "positive")


def to_non_negative(value, name, dtype, batch=None):
    """Converts a scale that may be 0, as `to_positive` does."""
    return _to_scale(value, name, dtype, batch, lambda x: x >= 0, "at least 0")


def _to_scale(value, name, dtype, batch, valid, description):
    tensor = to_numbers(value, name, dtype)
    array = known_array(value, tensor)
    if array is not None and not np.all(np.isfinite(array) & valid(array)):
        raise ValueError(
            f"{name} must be {description} and finite. Received: {name}={shown(value)}"
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


def to_seed(seed):
    """Converts a seed to an int32 `[2]` tensor.

    Args:
        seed: An int of any size, two integers of 32 bits (a list, an array or a
            tensor), or None for a fresh seed.

    Raises:
        ValueError: If `seed` is None inside a trace, which would draw one seed and keep
            it for every call, or if `seed` has another shape or size.
        TypeError: If `seed` is not an integer.
    """
    if seed is None:
        if not tf.executing_eagerly():
            raise ValueError(
                "seed=None inside a traced function would freeze one seed into the "
                "graph; pass an int or a [2] int tensor. Received: seed=None"
            )
        return tf.constant(np.random.SeedSequence().generate_state(2).astype(np.int32))
    if isinstance(seed, numbers.Integral) and not isinstance(seed, bool):
        return tf.constant(_two_words(int(seed)).astype(np.uint32).astype(np.int32))
    tensor = _seed_tensor(seed)
    if not tensor.shape.is_compatible_with([2]):
        raise ValueError(f"seed must have shape [2]. Received: seed={shown(seed)}")
    known = known_array(seed, tensor)
    if known is not None and not all(-(2**31) <= int(x) < 2**32 for x in known):
        raise ValueError(
            "seed must be two integers of 32 bits, or one of any size. "
            f"Received: seed={shown(seed)}"
        )
    return tf.cast(tensor, tf.int32)


def _seed_tensor(seed):
    try:
        tensor = to_numbers(seed, "seed", keeps_integers=True)
    except WrongKindError:
        tensor = None
    if tensor is None or not tensor.dtype.is_integer:
        raise WrongKindError(
            f"seed must be an int or a [2] int tensor. Received: seed={shown(seed)}"
        )
    return tensor


def _two_words(seed):
    """Two integers of 32 bits, which differ for all seeds of up to 64 bits."""
    if -(2**63) <= seed < 2**64:
        return np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF])
    # The bits beyond the 64th must count too.
    entropy = [int(seed < 0), abs(seed)]
    return np.random.SeedSequence(entropy).generate_state(2)


def to_python_seed(seed):
    """Converts the seed of a layer to None or an int that Keras' generators take.

    Args:
        seed: None, or a Python or NumPy integer. Keras takes 32 bits: a larger or
            negative integer is mixed down to as many.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise WrongKindError(
            f"seed must be None or an int. Received: seed={shown(seed)}"
        )
    seed = int(seed)
    if 0 <= seed < 2**32:
        return seed
    entropy = [int(seed < 0), abs(seed)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


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
