"""Metrics of permutations, as functions and as Keras metrics.

All take permutation lists or matrices for each of the two arguments. Integers `[..., N]`
are lists; floating point numbers `[..., N, N]` are matrices, which are matched first.
Integers of zeros and ones `[..., N, N]` are matrices in two cases: if the other argument
is a list `[..., N]` or a floating point matrix, or if both arguments are such integers,
N >= 3 and the call is eager. Inside a trace, where the values are unknown, two such
integers give NaN. Both arguments have the same number of batch dimensions, which are
equal or 1. Other combinations raise ValueError.

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
from sinkhorn_tf._permutation_pairs import on_lists, to_lists, with_nan

__all__ = [
    "KendallTau",
    "ProportionAnyWrong",
    "ProportionWrong",
    "kendall_tau",
    "proportion_any_wrong",
    "proportion_wrong",
]


@on_lists
def proportion_wrong(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """The proportion of items in a wrong position.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, N]`.

    Returns:
        float32 `[...]`.

    Raises:
        TypeError, ValueError: If the arguments cannot be compared.

    Example:

    >>> y_true, y_pred = [[0, 1, 2, 3], [0, 1, 2, 3]], [[0, 1, 2, 3], [0, 1, 3, 2]]
    >>> st.metrics.proportion_wrong(y_true, y_pred).numpy()
    array([0. , 0.5], dtype=float32)
    """
    wrong = y_true != y_pred
    return tf.reduce_mean(tf.cast(wrong, tf.float32), axis=-1)


@on_lists
def proportion_any_wrong(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """1 where any item is in a wrong position, 0 elsewhere.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, N]`.

    Returns:
        float32 `[...]`.

    Raises:
        TypeError, ValueError: If the arguments cannot be compared.

    Example:

    >>> y_true, y_pred = [[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [0, 2, 1]]
    >>> st.metrics.proportion_any_wrong(y_true, y_pred).numpy()
    array([0., 1.], dtype=float32)
    """
    wrong = y_true != y_pred
    return tf.cast(tf.reduce_any(wrong, axis=-1), tf.float32)


@on_lists
def kendall_tau(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """Kendall's rank correlation of two permutations.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, N]`.

    Returns:
        float32 `[...]` from -1 to 1: the share of concordant pairs of items less that
        of discordant ones; 1 for N = 1, 0 for a list of -1.

    Raises:
        TypeError, ValueError: If the arguments cannot be compared.

    Example:

    >>> y_true, y_pred = [[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [2, 1, 0]]
    >>> st.metrics.kendall_tau(y_true, y_pred).numpy()
    array([ 1., -1.], dtype=float32)
    """
    n = tf.shape(y_true)[-1]
    agreement = tf.reduce_sum(_signs(y_true) * _signs(y_pred), axis=[-2, -1])
    tau = tf.cast(agreement, tf.float32) / tf.cast(
        tf.maximum(n * (n - 1), 1), tf.float32
    )
    return tf.where(n == 1, tf.ones_like(tau), tau)


class _PermutationMetric(keras.metrics.Mean):
    """The mean over examples of a function of two permutations."""

    def _measure(self, y_true, y_pred):
        """The function: float32 `[...]`."""
        raise NotImplementedError

    def _measure_weighted(self, y_true, y_pred, weights, are_of_examples):
        """The function of lists under weights of items, and the weights of the results.

        Args:
            y_true, y_pred: Lists `[..., N]`.
            weights: `[..., N]`.
            are_of_examples: Whether these are weights of examples, the same for all
                items.
        """
        raise NotImplementedError

    def update_state(
        self,
        y_true: TensorLike,
        y_pred: TensorLike,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Adds examples.

        Args:
            y_true, y_pred: Lists `[..., N]` or matrices `[..., N, N]`.
            sample_weight: None, or numbers >= 0: one for all, one for each example
                (`[...]` or `[..., 1]`), or one for each item (`[..., N]`).

        Raises:
            TypeError: If `sample_weight` is no real numbers.
            ValueError: If `sample_weight` has another shape.
        """
        if sample_weight is None:
            values, weights = self._measure(y_true, y_pred), None
        else:
            (true, pred), readable = to_lists(y_true, y_pred)
            weight: tf.Tensor = tf.convert_to_tensor(sample_weight)
            dtype = tf.as_dtype(weight.dtype)
            if dtype.is_complex or dtype == tf.string:
                raise TypeError(
                    "sample_weight must be real numbers. "
                    f"Received: sample_weight.dtype={dtype.name}"
                )
            weight = tf.cast(weight, self.dtype)
            item_weights, are_of_examples = _to_item_weights(weight, (true, pred))
            values, weights = self._measure_weighted(
                true, pred, item_weights, are_of_examples
            )
            if values.shape.rank == true.shape.rank:
                readable = [each[..., None] for each in readable]
            values = with_nan(values, readable)
            weights = tf.reshape(weights, [-1])
        super().update_state(tf.reshape(values, [-1]), weights)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class ProportionWrong(_PermutationMetric):
    """The mean of `proportion_wrong`.

    With weights of items it is a weighted mean over the items of all examples.

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

    def _measure(self, y_true, y_pred):
        return proportion_wrong(y_true, y_pred)

    def _measure_weighted(self, y_true, y_pred, weights, are_of_examples):
        wrong = tf.cast(y_true != y_pred, weights.dtype)
        n = tf.cast(tf.shape(weights)[-1], weights.dtype)
        return wrong, tf.where(are_of_examples, weights / n, weights)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class ProportionAnyWrong(_PermutationMetric):
    """The mean of `proportion_any_wrong`.

    Items of weight 0 are left out: an example is wrong if an item of another weight is,
    and does not count if it has no such item.

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

    def _measure(self, y_true, y_pred):
        return proportion_any_wrong(y_true, y_pred)

    def _measure_weighted(self, y_true, y_pred, weights, are_of_examples):
        wrong = tf.reduce_any((y_true != y_pred) & (weights != 0), axis=-1)
        wrong = tf.cast(wrong, weights.dtype)
        return wrong, _to_example_weights(weights, are_of_examples)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class KendallTau(_PermutationMetric):
    """The mean of `kendall_tau`.

    Items of weight 0 are left out: tau is that of the pairs of the other items, 1 for
    one item, and an example without other items does not count.

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

    def _measure(self, y_true, y_pred):
        return kendall_tau(y_true, y_pred)

    def _measure_weighted(self, y_true, y_pred, weights, are_of_examples):
        counts = tf.cast(weights != 0, tf.int32)
        pairs = counts[..., :, None] * counts[..., None, :]
        agreement = tf.reduce_sum(pairs * _signs(y_true) * _signs(y_pred), [-2, -1])
        n = tf.reduce_sum(counts, axis=-1)
        tau = tf.cast(agreement, weights.dtype) / tf.cast(
            tf.maximum(n * (n - 1), 1), weights.dtype
        )
        tau = tf.where(n > 1, tau, tf.ones_like(tau))
        return tau, _to_example_weights(weights, are_of_examples)


def _to_example_weights(weights, are_of_examples):
    """Converts weights of items to those of examples: 1 where an item has a weight."""
    any_item = tf.cast(tf.reduce_any(weights != 0, axis=-1), weights.dtype)
    return tf.where(are_of_examples, weights[..., 0], any_item)


def _to_item_weights(weights, lists):
    """Converts to weights `[..., N]`, and tells whether they were those of examples.

    Raises:
        ValueError: If the shape is none of those that `update_state` takes.
    """
    shape = tf.broadcast_static_shape(*(x.shape for x in lists))
    dynamic_shape = tf.broadcast_dynamic_shape(*(tf.shape(x) for x in lists))
    one_each = shape[:-1].concatenate([1])
    weights_shape = weights.shape
    if weights_shape.rank == 0:
        weights = tf.fill(tf.concat([dynamic_shape[:-1], [1]], 0), weights)
    elif weights_shape.rank is not None and weights_shape.is_compatible_with(
        shape[:-1]
    ):
        weights = weights[..., None]
    elif weights_shape.rank is None or not (
        weights_shape.is_compatible_with(one_each)
        or weights_shape.is_compatible_with(shape)
    ):
        raise ValueError(
            "sample_weight must hold one weight for each example or for each item of "
            f"the permutations [..., N]. Received: sample_weight of shape {weights_shape}, "
            f"permutation lists of shape {shape}"
        )
    # Where only the graph knows the shapes, wrong ones fail here.
    last = tf.shape(weights)[-1:]
    weights = tf.reshape(weights, tf.concat([dynamic_shape[:-1], last], 0))
    return tf.broadcast_to(weights, dynamic_shape), last[0] == 1


def _signs(perm):
    return tf.sign(perm[..., :, None] - perm[..., None, :])
