"""Masses of rows and columns: conversion and checks of arguments.

What only a graph knows cannot raise there. `marginals` makes NaN of it.
"""

import numpy as np
import tensorflow as tf

from sinkhorn_tf._core.arguments import check_members, fit
from sinkhorn_tf._core.conversion import known_array, to_numbers
from sinkhorn_tf._core.refusals import shown

# Totals of rows and columns may differ by so much, relatively: softmaxes of float16 do.
_MAX_MISMATCH = 1e-3


def to_marginals(row_marginals, col_marginals, logits, row_mask, col_mask, dtype):
    """Converts and checks the masses of rows `[..., N]` and columns `[..., M]`.

    Args:
        row_marginals, col_marginals: Numbers >= 0, or None.
        logits: `[..., N, M]`, whose batch dimensions the masses broadcast against.
        row_mask, col_mask: The masks that `to_masks` returned: what they leave out has no
            mass, whatever stands there.
        dtype: Dtype of the results.

    Returns:
        The two as tensors, or None where None is given. Bad masses that only a graph
        knows are returned as they are.
    """
    rows, known_rows = _to_masses(
        row_marginals, "row_marginals", logits.shape, -2, row_mask, dtype
    )
    cols, known_cols = _to_masses(
        col_marginals, "col_marginals", logits.shape, -1, col_mask, dtype
    )
    if known_rows is not None and known_cols is not None:
        totals = known_rows.sum(-1), known_cols.sum(-1)
        if fit(totals[0].shape, totals[1].shape) and not np.all(agree(*totals)):
            raise ValueError(
                "row_marginals and col_marginals must have the same total in each "
                "example. Received: totals of "
                f"{shown(totals[0].tolist())} and {shown(totals[1].tolist())}"
            )
    return rows, cols


def agree(total, other_total):
    """Whether two totals of masses, of NumPy or TensorFlow, are equal but for rounding."""
    difference = abs(total - other_total)
    return difference <= _MAX_MISMATCH * abs(total + other_total) / 2


def _to_masses(value, name, logits_shape, axis, mask, dtype):
    """Masses as a tensor, and as an array without what does not exist if it is known."""
    if value is None:
        return None, None
    tensor = to_numbers(value, name, dtype)
    check_members(tensor.shape, name, logits_shape, axis)
    array = known_array(value, tensor)
    exists = None if mask is None else tf.get_static_value(mask)
    if array is None or (mask is not None and exists is None):
        return tensor, None
    array = array.astype(np.float64)
    if exists is not None:
        if not fit(exists.shape, array.shape):
            return tensor, None
        array = np.where(exists, array, 0)
    if not np.all(np.isfinite(array) & (array >= 0)):
        raise ValueError(
            f"{name} must be finite numbers >= 0. Received: {name}={shown(value)}"
        )
    return tensor, array
