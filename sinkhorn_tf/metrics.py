"""Metrics of permutations, as functions and as Keras metrics.

All take permutation lists or matrices for each of the two arguments. Integers `[..., N]`
are lists; floating point numbers `[..., N, M]` are matrices, which are matched first.
Integers of zeros and ones `[..., N, M]` are matrices in two cases: if the other argument
is a list `[..., N]` or a floating point matrix, or if both arguments are such integers,
M >= 3 and the call is eager. Inside a trace, where the values are unknown, two integer
arguments of the same rank are taken for lists; where one of them turns out to be a whole
permutation matrix, square and with a 1 in every row, the result is NaN. Both arguments
have the same number of batch dimensions, which are equal or 1. Other combinations raise
ValueError.

In a floating point matrix a row that is 0 throughout is an item without a position, -1,
and a column that is 0 throughout is a position that nobody may take. So the plan of a
layer with masks, and `permutations.to_matrix` of a list with entries of -1, mean their
lists. Logits are matrices too: where an untrained model gives logits of 0 throughout, no
item has a position.

Items whose true position is -1 are left out, since nothing is right for them; an example
of such items alone does not count in the Keras metrics. A model that gives a position to
every item is therefore not worse by these metrics: `matching_precision`, which counts the
items that should have none, shows it. A predicted position of -1 is never the right one.

The Keras metrics take a `sample_weight` of examples, `[...]` or `[..., 1]`, or of items,
`[..., N]`; its rank decides, also where N is the number of examples.

Reference:
    Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn networks,
    table 1, where `proportion_wrong` is P.W. and `proportion_any_wrong` is P.A.W.
"""

from __future__ import annotations

import typing

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._permutation_measures import (
    any_item,
    any_wrong,
    share,
    tau,
    to_item_weights,
    to_weights,
)
from sinkhorn_tf._permutation_pairs import on_lists, to_lists, with_nan

__all__ = [
    "KendallTau",
    "MatchingPrecision",
    "ProportionAnyWrong",
    "ProportionWrong",
    "kendall_tau",
    "matching_precision",
    "proportion_any_wrong",
    "proportion_wrong",
]


@on_lists
def proportion_wrong(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """The proportion of items in a wrong position, of those that have a true one.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, M]`.

    Returns:
        float32 `[...]`; 0 where no item has a true position.

    Raises:
        TypeError, ValueError: If the arguments cannot be compared.

    Example:

    >>> y_true, y_pred = [[0, 1, 2, 3], [0, 1, 2, 3]], [[0, 1, 2, 3], [0, 1, 3, 2]]
    >>> st.metrics.proportion_wrong(y_true, y_pred).numpy()
    array([0. , 0.5], dtype=float32)
    >>> float(st.metrics.proportion_wrong([2, 0, -1, -1], [2, -1, 1, -1]))
    0.5
    """
    return share(y_true != y_pred, y_true != -1, empty=0)


@on_lists
def proportion_any_wrong(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """1 where any item that has a true position is in a wrong one, 0 elsewhere.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, M]`.

    Returns:
        float32 `[...]`.

    Raises:
        TypeError, ValueError: If the arguments cannot be compared.

    Example:

    >>> y_true, y_pred = [[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [0, 2, 1]]
    >>> st.metrics.proportion_any_wrong(y_true, y_pred).numpy()
    array([0., 1.], dtype=float32)
    """
    return any_wrong(y_true, y_pred, y_true != -1)


@on_lists
def kendall_tau(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """Kendall's rank correlation of two permutations, of the items in both.

    The pairs are those of items with a true position; a pair with an item whose
    predicted position is -1 is neither concordant nor discordant.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, M]`.

    Returns:
        float32 `[...]` from -1 to 1: the share of concordant pairs of items less that
        of discordant ones; 1 where there is no pair, 0 for a prediction of -1 alone.

    Raises:
        TypeError, ValueError: If the arguments cannot be compared.

    Example:

    >>> y_true, y_pred = [[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [2, 1, 0]]
    >>> st.metrics.kendall_tau(y_true, y_pred).numpy()
    array([ 1., -1.], dtype=float32)
    """
    return tau(y_true, y_pred, y_true != -1)


@on_lists
def matching_precision(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """The proportion of matched items that are in their true position.

    An item that is matched although its true position is -1 is in a wrong one. The
    other metrics leave it out.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, M]`.

    Returns:
        float32 `[...]`; 1 where no item is matched.

    Raises:
        TypeError, ValueError: If the arguments cannot be compared.

    Example:

    >>> y_true, y_pred = [[0, 1, -1], [0, 1, -1]], [[0, 1, 2], [0, -1, -1]]
    >>> st.metrics.matching_precision(y_true, y_pred).numpy().round(2)
    array([0.67, 1.  ], dtype=float32)
    """
    return share(y_true == y_pred, y_pred != -1, empty=1)


class _PermutationMetric(keras.metrics.Mean):
    """The mean of a function of two permutations over the examples that count.

    Subclasses define `_flags`, if the function is a share of items, or `_values`.
    """

    def _counted(self, y_true, y_pred):
        """Which items of two lists count, bool `[..., N]`."""
        return (y_true != -1) & tf.ones_like(y_pred, tf.bool)

    # Function of two lists, what the metric is the share of, bool `[..., N]`.
    _flags: typing.Any = None

    def _values(self, y_true, y_pred, counted):
        """The function of two lists and of the items that count: float32 `[...]`."""
        return share(self._flags(y_true, y_pred), counted, empty=0)

    def update_state(
        self,
        y_true: TensorLike,
        y_pred: TensorLike,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Adds examples.

        Args:
            y_true, y_pred: Lists `[..., N]` or matrices `[..., N, M]`.
            sample_weight: None, or numbers >= 0: one for all, one for each example
                (`[...]` or `[..., 1]`), or one for each item (`[..., N]`).

        Raises:
            TypeError: If `sample_weight` is no real numbers.
            ValueError: If `sample_weight` has another shape.
        """
        (true, pred), readable = to_lists(y_true, y_pred)
        counted = self._counted(true, pred)
        if sample_weight is None:
            values = self._values(true, pred, counted)
            weights = any_item(counted, self.dtype)
        else:
            sample_weight = to_weights(sample_weight, self.dtype)
            values, weights = self._weighted(true, pred, counted, sample_weight)
        if values.shape.rank == counted.shape.rank:
            readable = [each[..., None] for each in readable]
        values = with_nan(values, readable)
        # What is NaN counts, or the mean would be 0.
        weights = tf.where(tf.math.is_nan(values), tf.ones_like(weights), weights)
        super().update_state(tf.reshape(values, [-1]), tf.reshape(weights, [-1]))

    def _weighted(self, true, pred, counted, sample_weight):
        """The values whose mean is the metric, and their weights, as many."""
        weights, are_of_examples = to_item_weights(sample_weight, (true, pred))
        counted &= weights != 0
        if self._flags is None:
            values = self._values(true, pred, counted)
            of_examples = tf.where(are_of_examples, weights[..., 0], 1)
            return values, of_examples * any_item(counted, weights.dtype)
        counts = tf.cast(counted, weights.dtype)
        n = tf.maximum(tf.reduce_sum(counts, axis=-1, keepdims=True), 1)
        weights = tf.where(are_of_examples, weights / n, weights)
        return tf.cast(self._flags(true, pred), weights.dtype), weights * counts


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class ProportionWrong(_PermutationMetric):
    """The mean of `proportion_wrong`.

    With weights of items it is a weighted mean over the items of all examples. Items
    whose true position is -1 are left out.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result; None for Keras' default.

    Example:

    >>> metric = st.metrics.ProportionWrong()
    >>> metric.update_state([[0, 1, 2, 3], [0, 1, 2, 3]], [[0, 1, 2, 3], [1, 0, 2, 3]])
    >>> float(metric.result())
    0.25
    """

    def __init__(
        self, name: str = "proportion_wrong", dtype: typing.Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)

    def _flags(self, y_true, y_pred):
        return y_true != y_pred


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class ProportionAnyWrong(_PermutationMetric):
    """The mean of `proportion_any_wrong`.

    Items of weight 0, and those whose true position is -1, are left out: an example is
    wrong if another item is, and does not count if it has no such item.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result; None for Keras' default.

    Example:

    >>> metric = st.metrics.ProportionAnyWrong()
    >>> metric.update_state([[0, 1, 2, 3], [0, 1, 2, 3]], [[0, 1, 2, 3], [1, 0, 2, 3]])
    >>> float(metric.result())
    0.5
    """

    def __init__(
        self, name: str = "proportion_any_wrong", dtype: typing.Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)

    def _values(self, y_true, y_pred, counted):
        return any_wrong(y_true, y_pred, counted)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class KendallTau(_PermutationMetric):
    """The mean of `kendall_tau`.

    Items of weight 0, and those whose true position is -1, are left out: tau is that of
    the pairs of the other items, 1 for one item, and an example without other items does
    not count.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result; None for Keras' default.

    Example:

    >>> metric = st.metrics.KendallTau()
    >>> metric.update_state([[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [2, 1, 0]])
    >>> float(metric.result())
    0.0
    """

    def __init__(self, name: str = "kendall_tau", dtype: typing.Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def _values(self, y_true, y_pred, counted):
        return tau(y_true, y_pred, counted)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class MatchingPrecision(_PermutationMetric):
    """The mean of `matching_precision`.

    With weights of items it is a weighted mean over the matched items of all examples.
    An example without matched items does not count.

    Args:
        name: Name of the metric.
        dtype: Dtype of the result; None for Keras' default.

    Example:

    >>> metric = st.metrics.MatchingPrecision()
    >>> metric.update_state([[0, 1, -1, -1]], [[0, 1, 2, 3]])
    >>> float(metric.result())
    0.5
    """

    def __init__(
        self, name: str = "matching_precision", dtype: typing.Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)

    def _counted(self, y_true, y_pred):
        return (y_pred != -1) & tf.ones_like(y_true, tf.bool)

    def _flags(self, y_true, y_pred):
        return y_true == y_pred
