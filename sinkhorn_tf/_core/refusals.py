"""What the public functions refuse, and how their messages describe a value.

A message is one sentence that ends with the value: "n_iters must be >= 0. Received:
n_iters=-1".
"""

import functools
import inspect
import numbers
import reprlib
import typing
from collections.abc import Callable

import keras
import tensorflow as tf

_LONGEST_VALUE = 80
# Raised by NumPy and TensorFlow for a value that is no array.
CONVERSION_ERRORS = (
    TypeError,
    ValueError,
    OverflowError,
    NotImplementedError,
    tf.errors.InvalidArgumentError,
)
# These resemble tensors, and no operator can compute with them.
UNFIT = (keras.KerasTensor, tf.RaggedTensor, tf.SparseTensor, tf.data.Dataset)

_Function = typing.TypeVar("_Function", bound=Callable)


class WrongKindError(TypeError, ValueError):
    """An argument is of the wrong kind, whatever its value.

    This is a TypeError; and a ValueError, which TensorFlow and Keras raise for many
    arguments of the wrong kind.
    """


def shown(value):
    """Text of a value for the end of a message: one line of at most 80 characters."""
    if isinstance(value, UNFIT):
        kind = unfit_kind(value)
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


def takes_tensors(layer: str | None = None) -> Callable[[_Function], _Function]:
    """Decorates a public function on tensors to refuse what only resembles a tensor.

    Args:
        layer: Name of the layer that takes the function's place in a functional model,
            or None if there is no such layer.
    """

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*args, **kwargs):
            if any(isinstance(value, UNFIT) for value in (*args, *kwargs.values())):
                _refuse_unfit(function, layer, args, kwargs)
            return function(*args, **kwargs)

        return typing.cast(_Function, call)

    return decorate


def _refuse_unfit(function, layer, args, kwargs):
    module = function.__module__.rpartition(".")[2]
    path = f"{module}." if module in ("permutations", "metrics") else ""
    function_name = f"st.{path}{function.__name__}"
    arguments = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    name, value = next(item for item in arguments.items() if isinstance(item[1], UNFIT))
    if isinstance(value, keras.KerasTensor):
        cure = f"use the layer {layer} for it" if layer else "call it inside a layer"
        reason = (
            f"{function_name} needs values, which a model's input has later: {cure}"
        )
    elif isinstance(value, tf.RaggedTensor):
        reason = (
            f"call {function_name} for each example, or pad them to one size with "
            ".to_tensor(), with row_mask and col_mask for the padding"
        )
    elif isinstance(value, tf.SparseTensor):
        reason = "make it dense with tf.sparse.to_dense"
    else:
        reason = f"call {function_name} in its map"
    raise WrongKindError(
        f"{name} must be no {unfit_kind(value)}; {reason}. "
        f"Received: {name}={shown(value)}"
    )


def unfit_kind(value):
    return "Dataset" if isinstance(value, tf.data.Dataset) else type(value).__name__
