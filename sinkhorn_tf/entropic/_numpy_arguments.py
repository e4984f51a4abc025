"""Conversion and checks of the arguments of `st.entropic`, as float64 NumPy arrays."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.arguments import shown
from sinkhorn_tf._core.conversion import to_array as to_real_array


def to_array(value: object, name: str, ndim: int | None = None) -> np.ndarray:
    """Converts to float64, without NaN, with `ndim` axes if that is given."""
    if tf.is_symbolic_tensor(value) or isinstance(value, keras.KerasTensor):
        raise arguments.WrongKindError(
            f"{name} must have values, since st.entropic computes on the host: call it "
            f"outside of traced functions and models. Received: {name}={shown(value)}"
        )
    array = to_real_array(value, name).astype(np.float64)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(
            f"{name} must have {ndim} {'axis' if ndim == 1 else 'axes'}. "
            f"Received: {name}.shape={array.shape}"
        )
    if np.isnan(array).any():
        raise ValueError(f"{name} must not hold NaN. Received: {name}={shown(value)}")
    return array


def to_finite_array(value: object, name: str, ndim: int | None = None) -> np.ndarray:
    """Converts to a finite float64 array."""
    array = to_array(value, name, ndim)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite. Received: {name}={shown(value)}")
    return array


def to_positive_array(value: object, name: str, *, infinite: bool = False):
    """Converts to a float64 array of numbers > 0, finite unless `infinite` is set."""
    array = to_array(value, name) if infinite else to_finite_array(value, name)
    if not (array > 0).all():
        raise ValueError(f"{name} must be > 0. Received: {name}={shown(value)}")
    return array


def to_non_negative_array(value: object, name: str) -> np.ndarray:
    """Converts to a finite float64 array of numbers >= 0."""
    array = to_finite_array(value, name)
    if not (array >= 0).all():
        raise ValueError(f"{name} must be >= 0. Received: {name}={shown(value)}")
    return array


def to_masses(value: object, name: str) -> np.ndarray:
    """Converts to float64 `[N]`, masses >= 0 with a finite total > 0."""
    array = to_finite_array(value, name, ndim=1)
    with np.errstate(over="ignore"):
        total = array.sum()
    if not (array >= 0).all() or not 0 < total < math.inf:
        raise ValueError(
            f"{name} must be >= 0, with a finite total > 0. "
            f"Received: {name}={shown(value)}"
        )
    return array


def to_number(value: object, name: str, *, infinite: bool = False) -> float:
    """Converts one number > 0 to a Python float."""
    array = to_positive_array(value, name, infinite=infinite)
    if array.ndim:
        raise ValueError(f"{name} must be one number. Received: {name}={shown(value)}")
    return float(array)


def to_tie_tolerance(value: object, default: float) -> float:
    """Checks a tolerance >= 0 within which values count as tied."""
    if value is None:
        return default
    array = to_non_negative_array(value, "tolerance")
    if array.ndim:
        raise ValueError(
            f"tolerance must be one number. Received: tolerance={shown(value)}"
        )
    return float(array)


def to_costs(value: object, name: str = "cost", sign: int = 1) -> np.ndarray:
    """Converts to costs `[..., N, N]`, `sign` times the value.

    A cost of +inf forbids a pair.
    """
    array = sign * to_array(value, name)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or not array.shape[-1]:
        raise ValueError(
            f"{name} must have shape [..., N, N] with N >= 1. "
            f"Received: {name}.shape={array.shape}"
        )
    if (array == -math.inf).any():
        raise ValueError(
            f"{name} must be finite, or {sign * math.inf:+} for a forbidden pair. "
            f"Received: {-sign * math.inf:+} in {name}"
        )
    return array


def sums_are_exact(array: np.ndarray, n_terms: int) -> bool:
    """Whether sums of `n_terms` of these numbers are exact: integers below 2**53."""
    finite = array[np.isfinite(array)]
    size = np.abs(finite).max(initial=0.0)
    return bool(size <= 2.0**53 / n_terms and (finite == np.rint(finite)).all())


def broadcast(**arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Broadcasts arrays, by their names, against each other, in their order."""
    try:
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError as error:
        shapes = ", ".join(f"{name}.shape={x.shape}" for name, x in arrays.items())
        *names, last = arrays
        raise ValueError(
            f"{', '.join(names)} and {last} must broadcast. Received: {shapes}"
        ) from error
