"""Applying a soft or hard permutation to items, as a layer."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class Restore(keras.layers.Layer):
    """Puts items x in the places that a permutation assigns to them: :math:`P^T x`.

    Positions that nobody takes, whose column is 0, get 0. Items that take no position,
    whose row is 0 in all the permutations that share them, may hold NaN or infinities,
    as padding may; those of other items spread.

    Call arguments:
        inputs: `[permutation, items]`, a soft or hard `[..., N, M]` and
            `[..., N, ...]`: the batch dimensions of the permutation, then N items of
            any shape. Batch dimensions broadcast: with an axis of samples in the
            permutation pass `items[:, None]`.

    Returns:
        The restored items, `[..., M, ...]` in the layer's compute dtype. Keras' mask of
        the items ends here, since the result has positions in their place.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> swap = tf.constant([[[0.0, 1.0], [1.0, 0.0]]])
    >>> items = tf.constant([[[3.0], [5.0]]])
    >>> st.layers.Restore()([swap, items]).numpy().tolist()
    [[[5.0], [3.0]]]
    """

    def __init__(self, **kwargs: typing.Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Sequence[TensorLike]) -> tf.Tensor:
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ValueError(
                f"Restore needs [permutation, items]. Received: {type(inputs).__name__}"
            )
        inputs = [tf.convert_to_tensor(x) for x in inputs]
        for x in inputs:
            if x.dtype.is_complex or x.dtype == tf.string:
                raise TypeError(
                    "Restore needs real numbers. "
                    f"Received: an input of dtype {x.dtype.name}"
                )
        permutation, items = (tf.cast(x, self.compute_dtype) for x in inputs)
        output_shape = self.compute_output_shape([permutation.shape, items.shape])
        batch_rank = permutation.shape.rank - 2
        shape = tf.shape(items)
        flat = tf.reshape(
            items,
            tf.concat(
                [shape[: batch_rank + 1], [tf.reduce_prod(shape[batch_rank + 1 :])]], 0
            ),
        )
        flat = _without_padding(permutation, flat)
        restored = tf.matmul(permutation, flat, transpose_a=True)
        restored = tf.reshape(
            restored, tf.concat([tf.shape(restored)[:-1], shape[batch_rank + 1 :]], 0)
        )
        restored.set_shape(output_shape)
        return restored

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        permutation, items = (tf.TensorShape(shape) for shape in input_shape)
        batch_rank = permutation.rank - 2
        try:
            permutation.with_rank_at_least(2)
            permutation[-2:-1].assert_is_compatible_with(
                items[batch_rank : batch_rank + 1]
            )
            batch = tf.broadcast_static_shape(
                permutation[:batch_rank], items[:batch_rank]
            )
        except ValueError as error:
            raise ValueError(
                "Restore needs a permutation [..., N, M] and items [..., N, ...] with "
                "the same number of batch dimensions (with an axis of samples in the "
                "permutation pass items[:, None]). "
                f"Received: shapes {tuple(permutation)} and {tuple(items)}"
            ) from error
        return (*batch, permutation[-1], *items[batch_rank + 1 :])

    def compute_mask(self, inputs: Sequence, previous_mask: typing.Any) -> None:
        # Positions are never masked: what nobody takes is 0.
        return None


def _without_padding(permutation, items):
    """Puts 0 for NaN and infinities of items that take no position.

    Args:
        permutation: `[..., N, M]`.
        items: `[..., N, size]`, whose batch dimensions broadcast.
    """
    absent = tf.reduce_all(permutation == 0, axis=-1, keepdims=True)
    for axis in range(items.shape.rank - 2):
        if items.shape[axis] == 1:
            # This item is one of several permutations: it is not copied for each.
            absent = tf.reduce_all(absent, axis=axis, keepdims=True)
    replaced = absent & ~tf.math.is_finite(items)
    return tf.where(replaced, tf.zeros([], items.dtype), items)
