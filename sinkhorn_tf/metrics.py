"""How wrong permutations are, as functions and as Keras metrics.

All take permutation lists or matrices for each of the two arguments. Integers `[..., N]`
are lists, floating point `[..., N, N]` are matrices, which are matched first. Integers of
zeros and ones `[..., N, N]` are matrices if the other argument is a list `[..., N]` or a
floating point `[..., N, N]`, or if both are such integers, N >= 3 and called eagerly;
inside a trace, where it is unknown which of the two those are, they give NaN. Both
arguments have the same number of batch dimensions, which are equal or 1. Other
combinations raise ValueError.
"""

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._matching.permutation_pairs import on_lists


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
        super().update_state(self.measure(y_true, y_pred), sample_weight)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class ProportionWrong(_PermutationMetric):
    """The mean of `proportion_wrong`."""

    measure = staticmethod(proportion_wrong)

    def __init__(self, name="proportion_wrong", dtype=None):
        super().__init__(name=name, dtype=dtype)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class ProportionAnyWrong(_PermutationMetric):
    """The mean of `proportion_any_wrong`."""

    measure = staticmethod(proportion_any_wrong)

    def __init__(self, name="proportion_any_wrong", dtype=None):
        super().__init__(name=name, dtype=dtype)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class KendallTau(_PermutationMetric):
    """The mean of `kendall_tau`."""

    measure = staticmethod(kendall_tau)

    def __init__(self, name="kendall_tau", dtype=None):
        super().__init__(name=name, dtype=dtype)


def _signs(perm):
    return tf.sign(perm[..., :, None] - perm[..., None, :])
