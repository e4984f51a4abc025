"""How wrong permutations are, as functions and as Keras metrics.

All take permutation lists or matrices for each of the two arguments. Integers `[..., N]`
are lists, floating point `[..., N, N]` are matrices, which are matched first. Integers of
zeros and ones `[..., N, N]` are matrices if the other argument is a list `[..., N]` or a
floating point `[..., N, N]`, or if both are such integers, N >= 3 and called eagerly;
inside a trace, where it is unknown which of the two those are, they give NaN. Both
arguments have the same number of batch dimensions, which are equal or 1. Other
combinations raise ValueError.

The Keras metrics take a `sample_weight` of examples, `[...]` or `[..., 1]`, or of items,
`[..., N]`; its rank decides, also where N is the number of examples.
"""

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._permutation_pairs import on_lists, to_lists, with_nan


@on_lists
def proportion_wrong(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """The share of items in a wrong position (P.W. of SN table 1).

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, N]`.

    Returns:
        float32 `[...]`.
    """
    wrong = y_true != y_pred
    return tf.reduce_mean(tf.cast(wrong, tf.float32), axis=-1)


@on_lists
def proportion_any_wrong(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """1 where any item is in a wrong position, else 0 (P.A.W. of SN table 1).

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, N]`.

    Returns:
        float32 `[...]`.
    """
    wrong = y_true != y_pred
    return tf.cast(tf.reduce_any(wrong, axis=-1), tf.float32)


@on_lists
def kendall_tau(y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
    """Kendall's rank correlation of two permutation lists.

    Args:
        y_true, y_pred: Lists `[..., N]` or matrices `[..., N, N]`.

    Returns:
        float32 `[...]` from -1 to 1: the share of concordant pairs of items less that
        of discordant ones; 1 for N = 1, 0 for a list of -1.
    """
    n = tf.shape(y_true)[-1]
    agreement = tf.reduce_sum(_signs(y_true) * _signs(y_pred), axis=[-2, -1])
    tau = tf.cast(agreement, tf.float32) / tf.cast(
        tf.maximum(n * (n - 1), 1), tf.float32
    )
    return tf.where(n == 1, tf.ones_like(tau), tau)


class _PermutationMetric(keras.metrics.Mean):
    """The mean over examples of a function of two permutations."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds examples.

        Args:
            y_true, y_pred: Lists `[..., N]` or matrices `[..., N, N]`.
            sample_weight: None, or numbers >= 0: one for all, one for each example
                (`[...]` or `[..., 1]`), or one for each item (`[..., N]`).

        Raises:
            ValueError: If `sample_weight` has another shape.
        """
        if sample_weight is None:
            values, weights = self.measure(y_true, y_pred), None
        else:
            lists, readable = to_lists(y_true, y_pred)
            sample_weight = tf.cast(tf.convert_to_tensor(sample_weight), self.dtype)
            values, weights = self.measure_weighted(
                *lists, *_to_item_weights(sample_weight, lists)
            )
            if values.shape.rank == lists[0].shape.rank:
                readable = [each[..., None] for each in readable]
            values = with_nan(values, readable)
            weights = tf.reshape(weights, [-1])
        super().update_state(tf.reshape(values, [-1]), weights)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class ProportionWrong(_PermutationMetric):
    """The mean of `proportion_wrong`.

    With weights of items it is their weighted mean, over the items of all examples.
    """

    measure = staticmethod(proportion_wrong)

    def __init__(self, name="proportion_wrong", dtype=None):
        super().__init__(name=name, dtype=dtype)

    @staticmethod
    def measure_weighted(y_true, y_pred, weights, of_examples):
        wrong = tf.cast(y_true != y_pred, weights.dtype)
        n = tf.cast(tf.shape(weights)[-1], weights.dtype)
        return wrong, tf.where(of_examples, weights / n, weights)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class ProportionAnyWrong(_PermutationMetric):
    """The mean of `proportion_any_wrong`.

    With weights of items those of weight 0 are left out: an example is wrong if an item
    of another weight is, and does not count if there is none.
    """

    measure = staticmethod(proportion_any_wrong)

    def __init__(self, name="proportion_any_wrong", dtype=None):
        super().__init__(name=name, dtype=dtype)

    @staticmethod
    def measure_weighted(y_true, y_pred, weights, of_examples):
        wrong = tf.reduce_any((y_true != y_pred) & (weights != 0), axis=-1)
        return tf.cast(wrong, weights.dtype), _of_examples(weights, of_examples)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class KendallTau(_PermutationMetric):
    """The mean of `kendall_tau`.

    With weights of items those of weight 0 are left out: tau is that of the pairs of
    the others, 1 for one item, and an example without any does not count.
    """

    measure = staticmethod(kendall_tau)

    def __init__(self, name="kendall_tau", dtype=None):
        super().__init__(name=name, dtype=dtype)

    @staticmethod
    def measure_weighted(y_true, y_pred, weights, of_examples):
        counts = tf.cast(weights != 0, tf.int32)
        pairs = counts[..., :, None] * counts[..., None, :]
        agreement = tf.reduce_sum(pairs * _signs(y_true) * _signs(y_pred), [-2, -1])
        n = tf.reduce_sum(counts, axis=-1)
        tau = tf.cast(agreement, weights.dtype) / tf.cast(
            tf.maximum(n * (n - 1), 1), weights.dtype
        )
        tau = tf.where(n > 1, tau, tf.ones_like(tau))
        return tau, _of_examples(weights, of_examples)


def _of_examples(weights, of_examples):
    """Weights of examples: their own, or 1 where an item has a weight."""
    any_item = tf.cast(tf.reduce_any(weights != 0, axis=-1), weights.dtype)
    return tf.where(of_examples, weights[..., 0], any_item)


def _to_item_weights(weights, lists):
    """Weights `[..., N]`, and whether they were those of examples.

    Raises:
        ValueError: If the shape is none of those that `update_state` takes.
    """
    shape = tf.broadcast_static_shape(*(x.shape for x in lists))
    dynamic_shape = tf.broadcast_dynamic_shape(*(tf.shape(x) for x in lists))
    one_each = shape[:-1].concatenate([1])
    given = weights.shape
    if given.rank == 0:
        weights = tf.fill(tf.concat([dynamic_shape[:-1], [1]], 0), weights)
    elif given.rank is not None and given.is_compatible_with(shape[:-1]):
        weights = weights[..., None]
    elif given.rank is None or not (
        given.is_compatible_with(one_each) or given.is_compatible_with(shape)
    ):
        raise ValueError(
            "sample_weight must hold one weight for each example or for each item of "
            f"the permutations [..., N]. Received: sample_weight of shape {given}, "
            f"permutation lists of shape {shape}"
        )
    # Where only the graph knows the shapes, those that do not fit fail here.
    last = tf.shape(weights)[-1:]
    weights = tf.reshape(weights, tf.concat([dynamic_shape[:-1], last], 0))
    return tf.broadcast_to(weights, dynamic_shape), last[0] == 1


def _signs(perm):
    return tf.sign(perm[..., :, None] - perm[..., None, :])
