"""Settings of layers that may be assigned: `layer.temperature = 0.05`.

A setting that is assigned counts everywhere (in `call`, compiled functions, `fit`, the
config and saved files), or the assignment raises.
"""

from __future__ import annotations

import math
import numbers
import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments


class ConfiguredLayer(keras.layers.Layer):
    """A layer whose settings are declared as class attributes, each a `Setting`."""

    def __setattr__(self, name, value):
        setting = getattr(type(self), name, None)
        if isinstance(setting, Setting):
            # Keras would make another layer's variable one of this layer too.
            setting.__set__(self, value)
        else:
            super().__setattr__(name, value)


class Setting:
    """A Python value that is compiled into graphs.

    It can be assigned until a graph has been made with it; afterwards an assignment
    raises AttributeError, since the graph would go on with the old value.

    Args:
        check: Converts and checks a value, `check(value, name)`.
        sets_shape: Whether shapes depend on the setting, so that it is fixed as soon
            as the layer is built.
    """

    def __init__(
        self, check: Callable[[typing.Any, str], typing.Any], sets_shape: bool = False
    ):
        self._check = check
        self._sets_shape = sets_shape

    def __set_name__(self, owner, name):
        self.name = name
        self._read_in_a_graph = f"_{name}_read_in_a_graph"

    def __get__(self, layer: typing.Any, owner: type | None = None) -> typing.Any:
        if layer is None:
            return self
        try:
            value = vars(layer)[self.name]
        except KeyError:
            raise AttributeError(
                f"{type(layer).__name__} has no {self.name} yet."
            ) from None
        if not tf.executing_eagerly():
            vars(layer)[self._read_in_a_graph] = True
        return value

    def __set__(self, layer: typing.Any, value: typing.Any) -> None:
        value = self._check(value, self.name)
        if self._is_fixed(layer) and value != vars(layer)[self.name]:
            raise AttributeError(
                f"{self.name} is part of what was built or compiled with this layer "
                "and cannot be changed any more; make a new layer. "
                f"Received: {self.name}={value!r}"
            )
        vars(layer)[self.name] = value

    def __delete__(self, layer):
        raise AttributeError(
            f"{self.name} of a layer can be assigned, not deleted. "
            f"Received: del layer.{self.name}"
        )

    def _is_fixed(self, layer):
        if self.name not in vars(layer):
            return False
        built = self._sets_shape and layer.built
        return built or self._read_in_a_graph in vars(layer)


class ConstructorSetting(Setting):
    """A Python value that is set in the constructor and never again."""

    def _is_fixed(self, layer):
        return self.name in vars(layer)


class VariableSetting(Setting):
    """A scalar that a variable holds: assigning it reaches every graph.

    Args:
        valid: Whether a float is in the range.
        description: The range, in words.
    """

    def __init__(self, valid, description):
        self._valid = valid
        self._description = description

    def __set_name__(self, owner, name):
        self.name = name
        self._last = f"_{name}_last_assigned"
        self._mark = f"holds_{name}_of_sinkhorn_tf"

    def create(self, layer, value, make_variable):
        """Makes the variable of a layer, in the constructor of the layer.

        Args:
            layer: The layer.
            value: The initial value.
            make_variable: Maps a name, an initializer and a dtype to a
                `keras.Variable`, which is a weight if `add_weight` makes it.
        """
        dtype = "float64" if layer.variable_dtype == "float64" else "float32"
        number = self.to_number(value, dtype)
        variable = make_variable(
            self.name, lambda shape=(), dtype=dtype: tf.constant(number, dtype), dtype
        )
        vars(layer)[self._last] = _shortest(value, number, dtype)
        if any(variable is weight for weight in layer.weights):
            # Checkpoints of TensorFlow know a weight by the attribute's name.
            keras.layers.Layer.__setattr__(layer, self.name, variable)
        else:
            # The assignment of Keras would make it a weight.
            self.__set__(layer, variable)

    def __get__(self, layer: typing.Any, owner: type | None = None) -> typing.Any:
        if layer is None:
            return self
        if self.name not in vars(layer):
            raise AttributeError(f"{type(layer).__name__} has no {self.name} yet.")
        return self._read(layer)

    def _read(self, layer):
        return self.variable(layer)

    def __set__(self, layer: typing.Any, value: typing.Any) -> None:
        is_new = self.name not in vars(layer)
        # A subclass may also replace the variable by a weight of its own.
        if is_new or any(value is weight for weight in layer.weights):
            vars(layer)[self.name] = value
            setattr(value, self._mark, True)
            return
        variable = self.variable(layer)
        if isinstance(value, (keras.Variable, tf.Variable)):
            value = tf.convert_to_tensor(value)
        if tf.is_symbolic_tensor(value):
            variable.assign(self._checked_in_a_graph(value, variable.dtype))
            return
        number = self.to_number(value, variable.dtype)
        variable.assign(tf.constant(number, variable.dtype))
        vars(layer)[self._last] = _shortest(value, number, variable.dtype)

    def variable(self, layer):
        """The variable of a layer."""
        return vars(layer)[self.name]

    def is_held_by(self, variable):
        """Whether a variable is the one of this setting in some layer."""
        return getattr(variable, self._mark, False)

    def value(self, layer):
        """The present value as a float with as few digits as possible.

        Where the present value is unknown (inside a graph of TensorFlow 1) or invalid,
        it is the last one that was assigned.
        """
        last = vars(layer)[self._last]
        variable = self.variable(layer)
        with tf.init_scope():
            if not tf.executing_eagerly():
                return last
            present = np.asarray(variable.numpy())[()]
        if present == present.dtype.type(last) or not self._is_in_range(present):
            return last
        return float(str(present))

    def to_number(self, value, dtype):
        """Converts a scalar to a Python float that is in the range, in `dtype` too."""
        number = to_float(value, self.name)
        with np.errstate(over="ignore"):
            held = _scalar_type(dtype)(number)
        if not self._is_in_range(held):
            raise ValueError(
                f"{self.name} must be {self._description} and finite. "
                f"Received: {self.name}={value!r}"
            )
        return number

    def _is_in_range(self, number):
        return math.isfinite(number) and self._valid(number)

    def _checked_in_a_graph(self, value, dtype):
        if value.shape.rank or not (value.dtype.is_floating or value.dtype.is_integer):
            raise _not_a_number(self.name, value)
        value = tf.cast(value, dtype)
        good = tf.math.is_finite(value) & self._valid(value)
        return tf.where(good, value, tf.constant(math.nan, dtype))


class NumberSetting(VariableSetting):
    """A `VariableSetting` that reads as a Python float."""

    def _read(self, layer):
        return self.value(layer)


def to_float(value: typing.Any, name: str) -> float:
    """Converts a real number or a scalar array, tensor or variable to a float."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, keras.KerasTensor) or not hasattr(value, "dtype"):
        raise _not_a_number(name, value)
    try:
        tensor = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise _not_a_number(name, value) from error
    is_real = tensor.dtype.is_floating or tensor.dtype.is_integer
    if not is_real or tensor.shape.rank != 0:
        raise _not_a_number(name, value)
    with tf.init_scope():
        return float(tensor.numpy())


def _shortest(value, number, dtype):
    """Keeps floats of Python; others get as few digits as `dtype` needs."""
    if isinstance(value, float):
        return number
    return float(str(_scalar_type(dtype)(number)))


def to_flag(value: typing.Any, name: str) -> bool:
    """Converts True, False or an integer that is 0 or 1 to a Python bool."""
    is_flag = isinstance(value, (bool, np.bool_, numbers.Integral)) and value in (0, 1)
    if not is_flag:
        raise TypeError(f"{name} must be True or False. Received: {name}={value!r}")
    return bool(value)


def check_real(value: typing.Any, name: str) -> None:
    """Raises TypeError unless `value` holds real numbers, of any shape."""
    for leaf in tf.nest.flatten(value):
        dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
        dtype = tf.as_dtype(dtype)
        if not (dtype.is_floating or dtype.is_integer):
            raise TypeError(
                f"{name} must be a number or a tensor of real numbers. "
                f"Received: {name}={value!r}"
            )


def to_positive_count(value: typing.Any, name: str) -> int:
    """Converts an integer >= 1 to a Python int."""
    return arguments.to_count(value, name, 1)


def _not_a_number(name, value):
    return TypeError(
        f"{name} must be a number or a scalar tensor. Received: {name}={value!r}"
    )


def _scalar_type(dtype):
    return np.dtype(keras.backend.standardize_dtype(dtype)).type
