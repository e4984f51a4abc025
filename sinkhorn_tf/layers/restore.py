"""Applying a soft or hard permutation to items, as a layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class Restore(keras.layers.Layer):
    """Puts items in the places that a permutation assigns to them: `P^T items`.

    Call arguments:
        inputs: `[permutation, items]`, a soft or hard `[..., N, N]` and
            `[..., N, ...]`: the batch dimensions of the permutation, then N items of
            any shape. Batch dimensions broadcast: with an axis of samples in the
            permutation pass `items[:, None]`.

    Returns:
        The restored items, `[..., N, ...]` in the layer's compute dtype.

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> swap = tf.constant([[[0.0, 1.0], [1.0, 0.0]]])
    >>> items = tf.constant([[[3.0], [5.0]]])
    >>> st.layers.Restore()([swap, items]).numpy().tolist()
    [[[5.0], [3.0]]]
    """

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
            permutation[-2:].assert_is_compatible_with(permutation[-2:][::-1])
            permutation[-2:-1].assert_is_compatible_with(
                items[batch_rank : batch_rank + 1]
            )
            batch = tf.broadcast_static_shape(
                permutation[:batch_rank], items[:batch_rank]
            )
        except ValueError as error:
            raise ValueError(
                "Restore needs a permutation [..., N, N] and items [..., N, ...] with "
                "the same number of batch dimensions (with an axis of samples in the "
                "permutation pass items[:, None]). "
                f"Received: shapes {tuple(permutation)} and {tuple(items)}"
            ) from error
        return (*batch, *items[batch_rank:])
