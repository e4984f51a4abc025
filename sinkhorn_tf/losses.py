"""Losses of soft permutations where the right answer is known."""

from __future__ import annotations

import tensorflow as tf

from sinkhorn_tf import permutations
from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike

__all__ = [
    "cross_entropy",
    "reconstruction",
]

# Added to probabilities before their logarithm is taken, so that an item that cannot be
# told from another one does not outweigh all the rest.
_EPSILON = 1e-6


def reconstruction(
    soft: TensorLike, items: TensorLike, target: TensorLike
) -> tf.Tensor:
    """Squared error of the softly restored items, `|P^T items - target|^2`.

    Args:
        soft: `[b, S, N, M]`, S soft permutations of each example.
        items: `[b, N, ...]`, the scrambled items.
        target: `[b, M, ...]`, the items in their places; 0 where no item belongs.

    Returns:
        `[b]`, means over samples and positions.

    Example:

    >>> swap = tf.constant([[[[0.0, 1.0], [1.0, 0.0]]]])
    >>> st.losses.reconstruction(swap, [[3.0, 5.0]], [[5.0, 4.0]]).numpy()
    array([0.5], dtype=float32)

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, eq. 5.
    """
    soft, items, target = (tf.convert_to_tensor(x) for x in (soft, items, target))
    restored = tf.matmul(soft, _flatten_items(items), transpose_a=True)
    error = tf.square(restored - _flatten_items(target))
    return tf.reduce_mean(error, axis=[1, 2, 3])


def _flatten_items(x):
    """Reshapes `[b, N, ...]` to `[b, 1, N, size of an item]`."""
    return tf.reshape(x, [tf.shape(x)[0], 1, x.shape[1], -1])


def cross_entropy(soft: TensorLike, perm: TensorLike) -> tf.Tensor:
    """Minus the logarithm of the probabilities of the true places.

    Args:
        soft: `[b, S, N, M]`, S soft permutations of each example.
        perm: int32 `[b, N]`, the true permutation; an item whose place is -1 is left out.

    Returns:
        `[b]`, means over samples and the items that have a place, 0 without such items.

    Example:

    >>> swap = tf.constant([[[[0.0, 1.0], [1.0, 0.0]]]])
    >>> soft = (1 - swap) / 4 + swap / 4 * 3
    >>> st.losses.cross_entropy(soft, [[1, 0]]).numpy().round(4)
    array([0.2877], dtype=float32)
    """
    soft = tf.convert_to_tensor(soft)
    perm = arguments.to_permutation_lists(perm, "perm")[:, None]
    n_positions = batching.static_or_dynamic(soft, -1)
    true = permutations.to_matrix(perm, soft.dtype, n_positions=n_positions)
    likelihood = tf.reduce_sum(soft * true, axis=-1)
    counts = (perm != -1) & tf.ones_like(likelihood, tf.bool)
    # Where it is 1 its logarithm has a zero gradient, whatever stands in the plan.
    logarithm = tf.math.log(tf.where(counts, likelihood + _EPSILON, 1))
    n = tf.reduce_sum(tf.cast(counts, soft.dtype), axis=[1, 2])
    return -tf.reduce_sum(logarithm, axis=[1, 2]) / tf.maximum(n, 1)
