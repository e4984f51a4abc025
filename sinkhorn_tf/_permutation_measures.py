"""Measures of two permutation lists whose items do not all count, and weights of items."""

import tensorflow as tf


def share(flags, counted, empty):
    """The share of the items that count which are flagged.

    Args:
        flags, counted: bool `[..., N]`.
        empty: The result where no item counts.

    Returns:
        float32 `[...]`.
    """
    n = tf.reduce_sum(tf.cast(counted, tf.float32), axis=-1)
    result = tf.reduce_sum(tf.cast(flags & counted, tf.float32), axis=-1)
    result /= tf.maximum(n, 1)
    return tf.where(n > 0, result, tf.cast(empty, result.dtype))


def any_wrong(y_true, y_pred, counted):
    """1 where an item that counts is in a wrong position, float32 `[...]`."""
    wrong = tf.reduce_any((y_true != y_pred) & counted, axis=-1)
    return tf.cast(wrong, tf.float32)


def tau(y_true, y_pred, counted):
    """Kendall's tau of the items that count, float32 `[...]`."""
    counts = tf.cast(counted, tf.int32)
    pairs = counts[..., :, None] * counts[..., None, :]
    agreement = tf.reduce_sum(pairs * _signs(y_true) * _signs(y_pred), [-2, -1])
    n = tf.reduce_sum(counts, axis=-1)
    result = tf.cast(agreement, tf.float32)
    result /= tf.cast(tf.maximum(n * (n - 1), 1), tf.float32)
    return tf.where(n > 1, result, tf.ones_like(result))


def any_item(counted, dtype):
    """1 where an item counts, 0 elsewhere: `[..., N]` -> `[...]`."""
    return tf.cast(tf.reduce_any(counted, axis=-1), dtype)


def to_weights(value, dtype):
    """Converts `sample_weight`, of any shape.

    Raises:
        TypeError: If it is no real numbers.
    """
    weights: tf.Tensor = tf.convert_to_tensor(value)
    given = tf.as_dtype(weights.dtype)
    if given.is_complex or given == tf.string:
        raise TypeError(
            "sample_weight must be real numbers. "
            f"Received: sample_weight.dtype={given.name}"
        )
    return tf.cast(weights, dtype)


def to_item_weights(weights, lists):
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
    """How the items of each pair are ordered, 0 where one has no position."""
    has_position = perm >= 0
    both = has_position[..., :, None] & has_position[..., None, :]
    signs = tf.sign(perm[..., :, None] - perm[..., None, :])
    return tf.where(both, signs, 0)
