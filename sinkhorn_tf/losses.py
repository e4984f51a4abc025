"""Losses of soft permutations, for models that know the answer."""

import tensorflow as tf

from sinkhorn_tf import permutations
from sinkhorn_tf._core.arguments import TensorLike

# Below this a probability's logarithm counts as if it were this: an item that cannot
# be told from another one must not outweigh all the rest.
_LEAST = 1e-6


def reconstruction(
    soft: TensorLike, items: TensorLike, target: TensorLike
) -> tf.Tensor:
    """Squared error of the softly restored items (Mena et al. 2018, eq. 5).

    Args:
        soft: `[b, S, N, N]`, S soft permutations of each example.
        items: `[b, N, ...]`, scrambled.
        target: `[b, N, ...]`, in their places.

    Returns:
        `[b]`, means over samples and items.

    Example:

    >>> swap = tf.constant([[[[0.0, 1.0], [1.0, 0.0]]]])
    >>> reconstruction(swap, [[3.0, 5.0]], [[5.0, 4.0]]).numpy()
    array([0.5], dtype=float32)
    """
    soft, items, target = (tf.convert_to_tensor(x) for x in (soft, items, target))
    flat = lambda x: tf.reshape(x, [tf.shape(x)[0], 1, x.shape[1], -1])
    restored = tf.matmul(soft, flat(items), transpose_a=True)
    return tf.reduce_mean(tf.square(restored - flat(target)), axis=[1, 2, 3])


def cross_entropy(soft: TensorLike, perm: TensorLike) -> tf.Tensor:
    """Minus the logarithm of what the soft permutation gives to the true places.

    Args:
        soft: `[b, S, N, N]`, S soft permutations of each example.
        perm: int32 `[b, N]`, the true permutation.

    Returns:
        `[b]`, means over samples and items.

    Example:

    >>> swap = tf.constant([[[[0.0, 1.0], [1.0, 0.0]]]])
    >>> cross_entropy(swap, [[1, 0]]).numpy().round(3) + 0.0
    array([0.], dtype=float32)
    """
    soft = tf.convert_to_tensor(soft)
    true = permutations.to_matrix(perm, soft.dtype)[:, None]
    likelihood = tf.reduce_sum(soft * true, axis=-1)
    return -tf.reduce_mean(tf.math.log(likelihood + _LEAST), axis=[1, 2])
