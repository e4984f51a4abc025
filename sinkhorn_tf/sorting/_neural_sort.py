"""Relaxed permutation matrices by a softmax over items: NeuralSort and SoftSort.

Their columns sum to 1, and their rows need not.
"""

from __future__ import annotations

import math

import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf.sorting._arguments import to_sortable


@takes_tensors()
def neural_sort(
    values: TensorLike,
    temperature: TensorLike = 1.0,
    *,
    axis: int = -1,
    direction: str = "ASCENDING",
    mask: TensorLike | None = None,
) -> tf.Tensor:
    r"""The relaxed permutation matrix of NeuralSort.

    Column j of N, counted from 0, is a softmax over the items i,

    .. math:: P_{\cdot j} = \mathrm{softmax}\bigl(((2 j + 1 - N) x_i -
        \sum_k |x_i - x_k|) / t\bigr),

    which is the row N - j of the paper's matrix, whose order is descending. As the
    temperature goes to 0 it becomes the matrix that sorts, if all values differ.

    Args:
        values: Floating point, finite, `[..., N]`, or another shape whose `axis` is sorted.
        temperature: Positive number in the units of the values, or a tensor that broadcasts
            against the other dimensions of `values`.
        axis: Int, the axis to sort.
        direction: `"ASCENDING"` or `"DESCENDING"`.
        mask: bool like `values`, False for a value that does not exist: its row is 0, and
            so are the columns of the last positions, as many as values are missing. None if
            all exist.

    Returns:
        `[..., N, N]`, item first and position second, in the dtype of `values`.

    Raises:
        TypeError, ValueError: If an argument is of the wrong kind or out of range.

    Example:
        >>> plan = st.sorting.neural_sort([3.0, 1.0, 2.0], temperature=0.1)
        >>> print(plan.numpy().round(2))
        [[0. 0. 1.]
         [1. 0. 0.]
         [0. 1. 0.]]

    Reference:
        Grover et al. (2019), Stochastic optimization of sorting networks via continuous
        relaxations, eq. 5.
    """
    x, given, position, count, temperature = _prepare(
        values, temperature, axis, direction, mask
    )
    distances = tf.abs(x[..., :, None] - x[..., None, :])
    if given.mask is not None:
        distances = tf.where(given.mask[..., None, :], distances, 0)
    total = tf.reduce_sum(distances, -1)
    logits = (2 * position + 1 - count)[..., None, :] * x[..., :, None]
    return _softmax_over_items(logits - total[..., None], temperature, given, count)


@takes_tensors()
def soft_sort_l1(
    values: TensorLike,
    temperature: TensorLike = 1.0,
    *,
    axis: int = -1,
    direction: str = "ASCENDING",
    mask: TensorLike | None = None,
) -> tf.Tensor:
    r"""The relaxed permutation matrix of SoftSort, with absolute differences.

    Column j is a softmax over the items i of :math:`-|x_i - x_{(j)}| / t`, where
    :math:`x_{(j)}` is the value that sorting puts at position j.

    Args:
        values, temperature, axis, direction, mask: As in `neural_sort`.

    Returns:
        As `neural_sort`.

    Raises:
        TypeError, ValueError: As `neural_sort`.

    Example:
        >>> plan = st.sorting.soft_sort_l1([3.0, 1.0, 2.0], temperature=0.5)
        >>> print(plan.numpy().round(2))
        [[0.02 0.11 0.87]
         [0.87 0.11 0.02]
         [0.12 0.79 0.12]]

    Reference:
        Prillo and Eisenschlos (2020), SoftSort: a continuous relaxation for the argsort
        operator, eq. 4, with the distance :math:`|x - y|`.
    """
    x, given, _, count, temperature = _prepare(
        values, temperature, axis, direction, mask
    )
    to_sort = x
    if given.mask is not None:
        to_sort = tf.where(given.mask, x, tf.constant(math.inf, x.dtype))
    ordered = tf.sort(to_sort, axis=-1)
    if given.mask is not None:
        ordered = tf.where(ordered < math.inf, ordered, 0)
    logits = -tf.abs(x[..., :, None] - ordered[..., None, :])
    return _softmax_over_items(logits, temperature, given, count)


def _prepare(values, temperature, axis, direction, mask):
    """The values in ascending order's sign, positions, how many exist, temperature."""
    given = to_sortable(values, axis, direction, mask)
    dtype = arguments.compute_dtype(given.x.dtype)
    temperature = arguments.to_positive(
        temperature, "temperature", dtype, given.x.shape[:-1]
    )
    if temperature.shape.rank:
        temperature = temperature[..., None, None]
    x = tf.cast(given.x, dtype)
    x = -x if given.descending else x
    n = x.shape[-1]
    position = tf.range(n, dtype=dtype)
    count = tf.constant([n], dtype)
    if given.mask is not None:
        count = tf.reduce_sum(tf.cast(given.mask, dtype), -1, keepdims=True)
    return x, given, position, count, temperature


def _softmax_over_items(logits, temperature, given, count):
    """The softmax over axis -2 of the items that exist; 0 elsewhere."""
    logits /= temperature
    if given.mask is None:
        return tf.cast(tf.nn.softmax(logits, axis=-2), given.x.dtype)
    items = given.mask[..., :, None]
    positions = tf.range(logits.shape[-1], dtype=count.dtype) < count
    exists = items & positions[..., None, :]
    # A column without any item would be 0 / 0.
    logits = tf.where(items, logits, tf.constant(logits.dtype.min, logits.dtype))
    soft = tf.nn.softmax(logits, axis=-2)
    return tf.cast(tf.where(exists, soft, 0), given.x.dtype)
