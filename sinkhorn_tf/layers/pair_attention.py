"""Attention that takes features of pairs into account, as a layer."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf.layers import _settings


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class PairAttention(_settings.ConfiguredLayer):
    r"""Self-attention whose scores have a bias from features of each pair.

    Item i looks at item j with the weight
    :math:`\mathrm{softmax}_j(q_i \cdot k_j / \sqrt{d} + b_{ij})` in each head, where b
    is linear in the features of the pair (i, j). There are no positions: permuting the
    items permutes the result.

    Args:
        heads: Number of heads, a divisor of the width.

    Call arguments:
        inputs: `[items, pairs]`: `[B, N, width]` and `[B, N, N, features]`.

    Returns:
        `[B, N, width]`.

    Raises:
        ValueError: If `heads` is below 1, or the width is not a multiple of it.

    Example:

    >>> items, pairs = tf.ones([2, 4, 8]), tf.ones([2, 4, 4, 3])
    >>> st.layers.PairAttention(heads=2)([items, pairs]).shape
    TensorShape([2, 4, 8])
    """

    heads = _settings.Setting(_settings.to_positive_count, sets_shape=True)

    def __init__(self, heads: int, **kwargs: typing.Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape: Sequence) -> None:
        width = input_shape[0][-1]
        if width % self.heads:
            raise ValueError(
                f"The width must be a multiple of heads={self.heads}. "
                f"Received: width={width}"
            )
        self._project = keras.layers.Dense(
            3 * width, use_bias=False, dtype=self.dtype_policy, name="project"
        )
        self._project.build(input_shape[0])
        self._bias = keras.layers.Dense(
            self.heads, use_bias=False, dtype=self.dtype_policy, name="bias"
        )
        self._bias.build(input_shape[1])
        self._merge = keras.layers.Dense(width, dtype=self.dtype_policy, name="merge")
        self._merge.build(input_shape[0])
        super().build(input_shape)

    def call(self, inputs: Sequence[TensorLike]) -> tf.Tensor:
        items, pairs = inputs
        n, width = items.shape[1:]
        size = width // self.heads
        parts = tf.reshape(self._project(items), [-1, n, 3, self.heads, size])
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query * size**-0.5, key, transpose_b=True)
        scores += tf.transpose(self._bias(pairs), [0, 3, 1, 2])
        result = tf.matmul(tf.nn.softmax(scores), value)
        result = tf.reshape(tf.transpose(result, [0, 2, 1, 3]), [-1, n, width])
        return self._merge(result)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return input_shape[0]

    def get_config(self) -> dict[str, typing.Any]:
        return {**super().get_config(), "heads": self.heads}
