"""Conversion and checks of the arguments that the operators share.

Values that are known in Python are checked in Python. What is known only inside a
graph cannot raise there (XLA drops asserts), so a bad temperature becomes NaN.
"""

import math
import numbers

import numpy as np
import tensorflow as tf

TensorLike = tf.types.experimental.TensorLike

_FLOATS = (tf.float16, tf.bfloat16, tf.float32, tf.float64)


def to_tensor(value, name):
    """Converts `value`; Python numbers and lists of them become float32."""
    try:
        tensor = tf.convert_to_tensor(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name} must be an array of numbers. Received: {name}={value!r}"
        ) from error
    if isinstance(value, (list, tuple, int, float)) and tensor.dtype.is_integer:
        tensor = tf.cast(tensor, tf.float32)
    return tensor


def to_logits(logits, *, integers=False):
    """Converts and checks logits of shape `[..., N, N]`."""
    logits = to_tensor(logits, "logits")
    if not (logits.dtype in _FLOATS or (integers and logits.dtype.is_integer)):
        expected = "floating point or integer" if integers else "floating point"
        raise TypeError(
            f"logits must be {expected}; cast them first. "
            f"Received: logits.dtype={logits.dtype.name}"
        )
    shape = logits.shape
    if shape.rank is None:
        raise ValueError(
            "logits need a known rank to tell batch dimensions from [N, N]. "
            "Received: logits of unknown rank"
        )
    square = shape.rank >= 2 and shape[-2:].is_compatible_with(shape[-2:][::-1])
    if not square or 0 in shape[-2:]:
        raise ValueError(
            f"logits must have shape [..., N, N] with N >= 1. "
            f"Received: logits.shape={tuple(shape)}"
        )
    return logits


def to_positive(value, name, dtype):
    """Converts a temperature: positive and finite, never below float32.

    Python values and eager tensors raise; a bad value inside a trace gives NaN.
    """
    return _to_scale(value, name, dtype, lambda x: x > 0, "positive")


def to_non_negative(value, name, dtype):
    """Converts a scale that may be 0, as `to_positive` does."""
    return _to_scale(value, name, dtype, lambda x: x >= 0, "at least 0")


def _to_scale(value, name, dtype, valid, description):
    tensor = tf.cast(to_tensor(value, name), dtype)
    array = _known(value, tensor)
    if array is not None:
        if not np.all(np.isfinite(array) & valid(array)):
            raise ValueError(
                f"{name} must be {description} and finite. Received: {name}={value}"
            )
        return tensor
    good = tf.math.is_finite(tensor) & valid(tensor)
    return tf.where(good, tensor, tf.constant(np.nan, dtype))


def _known(value, tensor):
    """The array in `tensor`, made of `value`, or None if only a graph knows it."""
    eager = tf.__internal__.EagerTensor
    if isinstance(tensor, eager):
        return tensor.numpy()
    if isinstance(value, eager):
        with tf.init_scope():
            return tf.cast(value, tensor.dtype).numpy()
    if tf.is_symbolic_tensor(value):
        return None
    # A Python value is a constant in a trace.
    return tf.get_static_value(tensor)


def to_count(value, name, minimum):
    """Checks a Python integer >= `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a Python int. Received: {name}={value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be >= {minimum}. Received: {name}={value}")
    return int(value)


def to_tolerance(value, name):
    """Checks a Python number > 0."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise ValueError(
            f"{name} must be a finite number > 0. Received: {name}={value!r}"
        )
    return float(value)


def to_stopping(tolerance, gradient):
    """Checks when the iterations stop, and which derivative they have."""
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise ValueError(
            f"tolerance must be None or > 0. Received: tolerance={tolerance}"
        )
    if gradient not in ("unrolled", "implicit"):
        raise ValueError(
            "gradient must be 'unrolled' or 'implicit'. "
            f"Received: gradient={gradient!r}"
        )
    return None if tolerance is None else float(tolerance), gradient


def to_seed(seed):
    """Converts a seed to an int32 `[2]` tensor.

    Args:
        seed: An int, a `[2]` integer tensor, or None for a fresh seed.

    Raises:
        ValueError: If `seed` is None inside a trace, where it would be drawn once
            and stay the same at every call.
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
        low_high = np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF])
        return tf.constant(low_high.astype(np.uint32).astype(np.int32))
    tensor = tf.convert_to_tensor(seed)
    if not tensor.dtype.is_integer:
        raise TypeError(f"seed must be an int or a [2] int tensor. Received: {seed!r}")
    if not tensor.shape.is_compatible_with([2]):
        raise ValueError(f"seed must have shape [2]. Received: seed={seed!r}")
    return tf.cast(tensor, tf.int32)


def compute_dtype(dtype):
    """The dtype an operator computes in: float32, or float64 if that is given."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def static_or_dynamic(tensor, axis):
    """The size of an axis: an int if known, otherwise a scalar tensor."""
    size = tensor.shape[axis]
    return tf.shape(tensor)[axis] if size is None else size
