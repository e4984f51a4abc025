"""Conversion and checks of the arguments of `export_solver`."""

import numbers
import os
import typing
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from sinkhorn_tf.export import _warmup

# Arrays hold numbers, but are none to Python.
_ARRAYS = (np.ndarray, tf.Tensor, tf.Variable, keras.Variable)


def to_path(path: typing.Any) -> str:
    """A normalised path; raises TypeError if it is not that of a directory."""
    if not isinstance(path, (str, bytes, os.PathLike)) or not os.fspath(path):
        raise TypeError(f"path must be that of a directory. Received: {path!r}")
    return os.path.normpath(os.fsdecode(path))


def to_version(version: typing.Any) -> int | None:
    """A Python int >= 0 or None, or raises ValueError."""
    if version is None:
        return None
    is_integer = isinstance(version, numbers.Integral) and not isinstance(version, bool)
    if not is_integer or int(version) < 0:
        raise ValueError(f"version must be an int >= 0. Received: {version!r}")
    return int(version)


def to_temperature(temperature: typing.Any) -> float:
    """A Python float: the variable of a layer is read once, now.

    Raises:
        ValueError: If the temperature is no positive and finite number.
    """
    number: typing.Any = temperature
    if isinstance(temperature, _ARRAYS):
        number = np.asarray(keras.ops.convert_to_numpy(temperature))[()]
    is_number = isinstance(number, numbers.Real) and not isinstance(number, bool)
    if not is_number or not 0 < number < float("inf"):
        raise ValueError(
            "temperature must be positive and finite, a single number. "
            f"Received: temperature={temperature!r}"
        )
    return float(number)


def to_assets(assets: typing.Any) -> dict[str, str]:
    """A dict of file name to text.

    Raises:
        TypeError, ValueError: If it is no such dict, or a name is not plain.
    """
    if not isinstance(assets, (Mapping, type(None))):
        raise TypeError(
            f"assets_extra must be a dict of file name to text. Received: {assets!r}"
        )
    assets = dict(assets or {})
    for name, text in assets.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(
                "assets_extra must be a dict of file name to text. "
                f"Received: {name!r}: {type(text).__name__}"
            )
        if os.path.basename(name) != name or name in ("", ".", "..", _warmup.FILE_NAME):
            raise ValueError(
                "A file of assets_extra has a plain name, which is not that of the "
                f"warm-up requests. Received: {name!r}"
            )
    return assets


def to_flag(value: typing.Any, name: str) -> bool:
    """A Python bool from a Python or NumPy bool, or raises TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a bool. Received: {value!r}")
    return bool(value)
