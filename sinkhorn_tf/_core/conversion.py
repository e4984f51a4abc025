"""Conversion of what users pass, numbers in any form, to arrays and tensors."""

import numbers

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.refusals import (
    CONVERSION_ERRORS,
    UNFIT,
    WrongKindError,
    shown,
)


def is_tensor(value):
    """Whether TensorFlow holds the value: a tensor or a variable."""
    if isinstance(value, UNFIT):
        return False
    return tf.is_tensor(value) or hasattr(value, "__tf_tensor__")


def to_array(value, name):
    """Converts a Python or NumPy value to a NumPy array of real numbers.

    Booleans, complex numbers, strings and None raise `WrongKindError`.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and array.size and _are_real(array.flat):
            # These are fractions, or integers of more than 64 bits.
            array = array.astype(np.float64)
        dtype = tf.as_dtype(array.dtype) if array.dtype != np.longdouble else tf.float64
    except OverflowError as error:
        raise ValueError(
            f"{name} must fit into float64. Received: {name}={shown(value)}"
        ) from error
    except CONVERSION_ERRORS as error:
        raise _not_numbers(value, name) from error
    if not (dtype.is_floating or dtype.is_integer):
        raise _not_numbers(value, name, array.dtype)
    return array if array.dtype != np.longdouble else array.astype(np.float64)


def _are_real(values):
    return all(isinstance(x, numbers.Real) and not isinstance(x, bool) for x in values)


def _not_numbers(value, name, dtype=None):
    if isinstance(value, UNFIT) or not hasattr(value, "dtype") or not np.ndim(value):
        received = f"{name}={shown(value)}"
    else:
        received = f"{name}.dtype={dtype or value.dtype}"
    return WrongKindError(
        f"{name} must be an array of real numbers. Received: {received}"
    )


def to_numbers(value, name, dtype=None, *, keeps_integers=False):
    """Converts real numbers to a tensor.

    Args:
        value: Tensor, variable, array, number, or nested lists of these.
        name: Name of the argument.
        dtype: Dtype of the tensor, to which Python numbers are converted directly:
            TensorFlow would round them to float32 first. None keeps the dtype of the
            value, and means float32 for Python numbers.
        keeps_integers: Whether Python integers stay integers where `dtype` is None.
    """
    if is_tensor(value):
        tensor = tf.convert_to_tensor(value)
        if not (tensor.dtype.is_floating or tensor.dtype.is_integer):
            raise WrongKindError(
                f"{name} must be an array of real numbers; cast it first. "
                f"Received: {name}.dtype={tensor.dtype.name}"
            )
        return tensor if dtype is None else tf.cast(tensor, dtype)
    leaves = tf.nest.flatten(value) if isinstance(value, (list, tuple)) else []
    if any(map(is_tensor, leaves)):
        return _stack(value, name, dtype)
    array = to_array(value, name)
    if dtype is None:
        if not _is_python(value, leaves):
            dtype = array.dtype
        elif keeps_integers and _are_integers(value, leaves):
            # This is float64 if an integer has more than 64 bits.
            dtype = array.dtype
        else:
            dtype = tf.float32
    dtype = tf.as_dtype(dtype)
    with np.errstate(over="ignore"):
        return tf.constant(array.astype(dtype.as_numpy_dtype), dtype)


def _is_python(value, leaves):
    """Whether the numbers are Python's own; those of NumPy have a dtype."""
    if isinstance(value, (list, tuple)):
        return not leaves or not all(hasattr(leaf, "dtype") for leaf in leaves)
    return isinstance(value, (int, float)) and not isinstance(value, np.generic)


def _are_integers(value, leaves):
    leaves = leaves if isinstance(value, (list, tuple)) else [value]
    return bool(leaves) and all(isinstance(x, numbers.Integral) for x in leaves)


def _stack(value, name, dtype):
    try:
        if dtype is None:
            return to_numbers(tf.convert_to_tensor(value), name)
        return tf.stack([to_numbers(each, name, dtype) for each in value])
    except WrongKindError:
        raise
    except CONVERSION_ERRORS as error:
        raise _not_numbers(value, name) from error


def known_array(value, tensor):
    """The array in `tensor`, or None if only a graph knows it.

    Args:
        value: Argument of a public function.
        tensor: The tensor that `to_numbers` made of it.
    """
    if _is_eager(tensor):
        return tensor.numpy()
    if _is_eager(value):
        with tf.init_scope():
            return tf.cast(value, tensor.dtype).numpy()
    if tf.is_symbolic_tensor(value):
        return None
    # A Python value is a constant in a trace.
    return tf.get_static_value(tensor)


def _is_eager(value):
    # A variable is not a tf.Tensor: a trace must not read its value of now.
    return isinstance(value, tf.Tensor) and not tf.is_symbolic_tensor(value)
