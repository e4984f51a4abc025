"""Conversion and checks of the arguments that the public functions share.

Values that are known in Python are checked in Python: one of the wrong kind raises
`WrongKindError`, one out of range ValueError, in one sentence that ends with what was
received. What is known only inside a graph cannot raise there (XLA drops asserts), so
a bad temperature becomes NaN.
"""

import functools
import inspect
import numbers
import reprlib
import sys
import typing

import keras
import numpy as np
import tensorflow as tf

if typing.TYPE_CHECKING:
    # Type checkers see no type in TensorFlow's own.
    TensorLike: typing.TypeAlias = typing.Any
else:
    TensorLike = tf.types.experimental.TensorLike

_FLOATS = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
_LONGEST_VALUE = 80
_LARGEST_COUNT = 2**31 - 1
# What NumPy and TensorFlow raise for a value that is no array.
CONVERSION_ERRORS = (
    TypeError,
    ValueError,
    OverflowError,
    NotImplementedError,
    tf.errors.InvalidArgumentError,
)


class WrongKindError(TypeError, ValueError):
    """An argument that is of the wrong kind, whatever its value.

    A TypeError; also a ValueError, which TensorFlow and Keras raise for many of these.
    """


def shown(value):
    """A value for the end of a message: one line of at most 80 characters."""
    if isinstance(value, _UNFIT):
        kind = _unfit_kind(value)
        shape = getattr(value, "shape", None)
        return f"a {kind}" if shape is None else f"a {kind} of shape {tuple(shape)}"
    if isinstance(value, (list, tuple, dict, set)):
        text = reprlib.repr(value)
    elif isinstance(value, numbers.Integral) and abs(value) >= 10**_LONGEST_VALUE:
        # Python refuses to write integers of thousands of digits.
        text = "an integer of more than 80 digits"
    else:
        text = repr(value)
    text = " ".join(text.split())
    if len(text) > _LONGEST_VALUE:
        text = text[: _LONGEST_VALUE - 3] + "..."
    return text


def takes_tensors(layer=None):
    """Decorates a public function on tensors: what only resembles a tensor is refused.

    Args:
        layer: Name of the layer that does in a functional model what the function does
            to tensors, or None.
    """

    def decorate(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            if any(isinstance(value, _UNFIT) for value in (*args, *kwargs.values())):
                _refuse_unfit(function, layer, args, kwargs)
            return function(*args, **kwargs)

        return call

    return decorate


_UNFIT = (keras.KerasTensor, tf.RaggedTensor, tf.SparseTensor, tf.data.Dataset)


def _refuse_unfit(function, layer, args, kwargs):
    module = function.__module__.rpartition(".")[2]
    path = f"{module}." if module in ("permutations", "metrics") else ""
    function_name = f"st.{path}{function.__name__}"
    arguments = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    name, value = next(
        item for item in arguments.items() if isinstance(item[1], _UNFIT)
    )
    if isinstance(value, keras.KerasTensor):
        cure = f"use the layer {layer} for it" if layer else "call it inside a layer"
        reason = (
            f"{function_name} needs values, which a model's input has later: {cure}"
        )
    elif isinstance(value, tf.RaggedTensor):
        reason = (
            f"call {function_name} for each example, or pad them to one size with "
            ".to_tensor(), where the padding counts as further items"
        )
    elif isinstance(value, tf.SparseTensor):
        reason = "make it dense with tf.sparse.to_dense"
    else:
        reason = f"call {function_name} in its map"
    raise WrongKindError(
        f"{name} must be no {_unfit_kind(value)}; {reason}. "
        f"Received: {name}={shown(value)}"
    )


def _unfit_kind(value):
    return "Dataset" if isinstance(value, tf.data.Dataset) else type(value).__name__


def is_tensor(value):
    """Whether TensorFlow holds the value: a tensor or a variable."""
    if isinstance(value, _UNFIT):
        return False
    return tf.is_tensor(value) or hasattr(value, "__tf_tensor__")


def to_array(value, name):
    """Converts what is known in Python to a NumPy array of real numbers.

    Booleans, complex numbers, strings and None are none.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and array.size and _are_real(array.flat):
            # Fractions, or integers of more than 64 bits.
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
    if isinstance(value, _UNFIT) or not hasattr(value, "dtype") or not np.ndim(value):
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
        name: That of the argument.
        dtype: Dtype of the tensor. Numbers known in Python are converted straight to
            it: TensorFlow would round them to float32 first. None: that of the value,
            and float32 for Python numbers.
        keeps_integers: Whether Python integers stay integers, without `dtype`.
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
            # float64 for those beyond 64 bits.
            dtype = array.dtype
        else:
            dtype = tf.float32
    dtype = tf.as_dtype(dtype)
    with np.errstate(over="ignore"):
        return tf.constant(array.astype(dtype.as_numpy_dtype), dtype)


def _is_python(value, leaves):
    """Whether numbers are Python's own rather than NumPy's, which have a dtype."""
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


def to_logits(logits, *, integers=False):
    """Converts and checks logits of shape `[..., N, N]`."""
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
            "logits need a known rank to tell batch dimensions from [N, N]. "
            "Received: logits of unknown rank"
        )
    if not is_square(shape):
        raise ValueError(
            f"logits must have shape [..., N, N] with N >= 1. "
            f"Received: logits.shape={tuple(shape)}"
        )
    return logits


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


def to_positive(value, name, dtype, batch=None):
    """Converts a temperature: positive and finite, never below float32.

    Python values and eager tensors raise; a bad value inside a trace gives NaN.

    Args:
        value, name, dtype: As in `to_numbers`.
        batch: Batch dimensions that it has to broadcast against, if that matters.
    """
    return _to_scale(value, name, dtype, batch, lambda x: x > 0, "positive")


def to_non_negative(value, name, dtype, batch=None):
    """Converts a scale that may be 0, as `to_positive` does."""
    return _to_scale(value, name, dtype, batch, lambda x: x >= 0, "at least 0")


def _to_scale(value, name, dtype, batch, valid, description):
    tensor = to_numbers(value, name, dtype)
    array = _known(value, tensor)
    if array is not None and not np.all(np.isfinite(array) & valid(array)):
        raise ValueError(
            f"{name} must be {description} and finite. Received: {name}={shown(value)}"
        )
    if batch is not None:
        _check_broadcasts(tensor.shape, name, batch)
    if array is not None:
        return tensor
    good = tf.math.is_finite(tensor) & valid(tensor)
    return tf.where(good, tensor, tf.constant(np.nan, dtype))


def _check_broadcasts(shape, name, batch):
    # An empty temperature broadcasts against a single example, and drops it.
    drops = shape.rank is not None and 0 in shape and 0 not in batch
    if drops or not fit(shape, batch):
        raise ValueError(
            f"{name} must broadcast against the batch dimensions {tuple(batch)}. "
            f"Received: {name}.shape={tuple(shape)}"
        )


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
    """Checks when the iterations stop, and which derivative they have."""
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
        ValueError: If `seed` is None inside a trace, where it would be drawn once
            and stay the same at every call; if it has another shape or size.
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
    known = _known(seed, tensor)
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
    """Two integers of 32 bits; other ones for each integer of up to 64 bits."""
    if -(2**63) <= seed < 2**64:
        return np.array([seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF])
    # Bits beyond the 64th count too.
    entropy = [int(seed < 0), abs(seed)]
    return np.random.SeedSequence(entropy).generate_state(2)


def to_python_seed(seed):
    """Converts the seed of a layer to None or an int that Keras' generators take.

    Args:
        seed: None, or a Python or NumPy integer. Keras takes 32 bits: others are mixed
            down to as many.
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

    Integers beyond 32 bits become the largest or smallest of 32 bits, which are no
    positions either.
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
    # Those beyond int64 become negative: no positions either.
    return tf.saturate_cast(tf.cast(perm, tf.int64), tf.int32)


def compute_dtype(dtype):
    """The dtype an operator computes in: float32, or float64 if that is given."""
    return tf.float64 if dtype == tf.float64 else tf.float32


def static_or_dynamic(tensor, axis):
    """The size of an axis: an int if known, otherwise a scalar tensor."""
    size = tensor.shape[axis]
    return tf.shape(tensor)[axis] if size is None else size
