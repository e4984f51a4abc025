"""Two permutations to compare, each as lists or as matrices.

Floating point numbers are matrices `[..., N, M]`, which are matched; a row or column of
zeros is an item or position that does not exist. Integers are lists
`[..., N]`, or matrices of zeros and ones: both arguments have the same number of batch
dimensions, so that their ranks distinguish the two. Where both are integers of the same
rank, the values do: no list of a permutation of three items or more has only zeros and
ones.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sinkhorn_tf import permutations
from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.conversion import to_numbers
from sinkhorn_tf._core.refusals import shown, takes_tensors
from sinkhorn_tf._matching.matching import matching

# The difference of two numbers of this magnitude or less fits into 32 bits.
_MAX_ENTRY = 2**30 - 1

_Measure = typing.TypeVar("_Measure", bound=Callable)


def on_lists(measure: _Measure) -> _Measure:
    """Decorates a measure of two lists, so that it takes lists or matrices for each.

    Args:
        measure: Function of two int32 `[..., N]` that returns a float `[...]`.

    Returns:
        The measure as a function of `y_true` and `y_pred`. It raises TypeError or
        ValueError for arguments that cannot be compared, and gives NaN for integers
        that are neither lists nor matrices and are known only inside a trace.
    """

    @takes_tensors()
    @functools.wraps(measure)
    def call(y_true, y_pred):
        lists, readable = to_lists(y_true, y_pred)
        return with_nan(measure(*lists), readable)

    return typing.cast(_Measure, call)


def to_lists(y_true: typing.Any, y_pred: typing.Any) -> tuple[typing.Any, list]:
    """Two permutations as lists.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, M]`.

    Returns:
        The two lists int32 `[..., N]`, and the argument `readable` of `with_nan`.

    Raises:
        TypeError, ValueError: If they cannot be compared.
    """
    pair = {
        "y_true": _convert(y_true, "y_true"),
        "y_pred": _convert(y_pred, "y_pred"),
    }
    are_matrices = _are_matrices(*pair.values())
    _check_shapes(*pair.values(), are_matrices=are_matrices)
    lists, readable = [], []
    for (name, value), is_matrix in zip(pair.items(), are_matrices, strict=True):
        readable.append(_is_readable(value, is_matrix))
        _check_values(readable[-1], value, name, is_matrix)
        # Entries that are no positions are never right: each side has its own limit.
        beyond = _MAX_ENTRY - (name == "y_pred")
        lists.append(_to_lists(value, is_matrix, beyond))
    return tuple(lists), [each for each in readable if each is not None]


def with_nan(result, readable):
    """Puts NaN where integers turned out to be neither lists nor matrices.

    Args:
        result: float `[...]`.
        readable: The second result of `to_lists`: bools that broadcast against `[...]`.
    """
    for each in readable:
        result = tf.where(each, result, tf.constant(np.nan, result.dtype))
    return result


def _convert(value, name):
    tensor = to_numbers(value, name, keeps_integers=True)
    shape = tensor.shape
    if shape.rank is None or shape.rank < 1:
        raise ValueError(
            f"{name} must have shape [..., N] or [..., N, M], of a known rank. "
            f"Received: {name}.shape={shape}"
        )
    if tensor.dtype.is_floating and not _is_matrix(shape):
        raise ValueError(
            f"{name} must be integers [..., N] or floating point [..., N, M]. "
            f"Received: {name}.shape={shape}, {name}.dtype={tensor.dtype.name}"
        )
    return tensor


def _are_matrices(y_true, y_pred) -> typing.Any:
    """Which of the two are matrices rather than lists, a pair of bools."""
    pair = (y_true, y_pred)
    if any(x.dtype.is_floating for x in pair) or y_true.shape.rank != y_pred.shape.rank:
        largest = max(x.shape.rank for x in pair)
        return tuple(x.dtype.is_floating or x.shape.rank == largest for x in pair)
    # `to_matrix` makes zeros alone of a list that is no permutation.
    has_ones = False
    for x in pair:
        values = tf.get_static_value(x)
        if (
            values is None
            or not _may_be_matrices(x.shape)
            or not _are_permutation_matrices(values).numpy().all()
        ):
            return False, False
        has_ones |= bool(values.any())
    return has_ones, has_ones


def _is_matrix(shape):
    """Whether a shape of known rank can be `[..., N, M]` with N, M >= 1."""
    return shape.rank >= 2 and 0 not in shape[-2:]


def _may_be_matrices(shape):
    """Whether integers may be matrices although they could be lists as well."""
    return _is_matrix(shape) and (shape[-1] is None or shape[-1] >= 3)


def _check_shapes(y_true, y_pred, are_matrices):
    shapes = [
        x.shape[:-1] if is_matrix else x.shape
        for x, is_matrix in zip((y_true, y_pred), are_matrices, strict=True)
    ]
    matrices = [
        x.shape
        for x, is_matrix in zip((y_true, y_pred), are_matrices, strict=True)
        if is_matrix
    ]
    sizes = {shape[-1] for shape in matrices} - {None}
    if (
        not all(map(_is_matrix, matrices))
        or len(sizes) > 1
        or shapes[0].rank != shapes[1].rank
        or not shapes[0][-1:].is_compatible_with(shapes[1][-1:])
        or not arguments.fit(shapes[0][:-1], shapes[1][:-1])
    ):
        raise ValueError(
            "y_true and y_pred must be lists [..., N] or matrices [..., N, M] of as "
            "many items, with the same batch dimensions (or 1). "
            f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
        )


def _is_readable(value, is_matrix):
    """Whether the values are those of a list, or of a matrix.

    Returns:
        A bool that broadcasts against the batch, or None if no value is refused.
    """
    if value.dtype.is_floating:
        return None
    if is_matrix:
        return _are_permutation_matrices(value)
    # Wrong lists may look like other matrices: complete squares alone are certain.
    if not arguments.is_square(value.shape) or not _may_be_matrices(value.shape):
        return None
    n = batching.static_or_dynamic(value, -1)
    is_square = batching.static_or_dynamic(value, -2) == n
    is_complete = tf.reduce_sum(tf.cast(tf.equal(value, 1), tf.int32), [-2, -1]) == n
    are_matrices = _are_permutation_matrices(value) & is_complete & is_square
    return ~(are_matrices & (n >= 3))[..., None]


def _are_permutation_matrices(values):
    """Whether values are zeros and ones, at most one 1 in each row and column."""
    ones = tf.cast(tf.equal(values, 1), tf.int32)
    return (
        tf.reduce_all(tf.equal(values, 1) | tf.equal(values, 0), [-2, -1])
        & tf.reduce_all(tf.reduce_sum(ones, -1) <= 1, -1)
        & tf.reduce_all(tf.reduce_sum(ones, -2) <= 1, -1)
    )


def _check_values(readable, value, name, is_matrix):
    known = None if readable is None else tf.get_static_value(readable)
    if known is None or known.all():
        return
    if is_matrix:
        expected = (
            "of zeros and ones, at most one 1 in each row and column, where its rank "
            "makes it matrices [..., N, M]"
        )
    else:
        expected = (
            "lists [..., N] where its rank makes it lists; turn a matrix into one with "
            "st.permutations.from_matrix"
        )
    raise ValueError(
        f"{name} must be {expected}. Received: {name}="
        f"{shown(tf.get_static_value(value))}"
    )


def _masks(matrix):
    """The masks of `matching` that leave out rows and columns of zeros.

    Plans are 0 where something does not exist, and so are matrices of partial lists. NaN
    is not 0.
    """
    exists = tf.not_equal(matrix, 0)
    masks = {
        "row_mask": tf.reduce_any(exists, axis=-1),
        "col_mask": tf.reduce_any(exists, axis=-2),
    }
    if all(_is_true_throughout(mask) for mask in masks.values()):
        # Whole matrices are matched faster without masks.
        return {}
    return masks


def _is_true_throughout(mask):
    """Whether a mask is known to be True everywhere."""
    known = tf.get_static_value(mask)
    return known is not None and known.all()


def _to_lists(value, is_matrix, beyond):
    if value.dtype.is_floating:
        return matching(value, **_masks(value))
    if is_matrix:
        return permutations.from_matrix(value)
    lists = arguments.to_permutation_lists(value, "lists")
    least = _MAX_ENTRY - 1
    lists = tf.where(lists >= least, beyond, lists)
    return tf.where(lists <= -least, -beyond, lists)
