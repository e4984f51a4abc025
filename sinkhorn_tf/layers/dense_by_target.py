"""A dense layer for each target, as one layer."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf.layers import _settings


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class DenseByTarget(_settings.ConfiguredLayer):
    """As many dense layers as there are targets; each example uses one of them.

    :math:`y_b = x_b W_k + c_k` with k the target of example b. Only that layer gets a
    gradient from the example. For a target that does not exist the result of the
    example is NaN; the other examples do not change.

    Args:
        units: Size of the result.
        targets: K, the number of targets.

    Call arguments:
        inputs: `[items, target]`: `[B, N, width]` and integers `[B]` in 0..K-1.

    Returns:
        `[B, N, units]`.

    Raises:
        ValueError: If `units` or `targets` is below 1.

    Example:

    >>> items, target = tf.ones([2, 3, 5]), tf.constant([0, 9])
    >>> st.layers.DenseByTarget(units=4, targets=10)([items, target]).shape
    TensorShape([2, 3, 4])
    """

    units = _settings.Setting(_settings.to_positive_count, sets_shape=True)
    targets = _settings.Setting(_settings.to_positive_count, sets_shape=True)

    def __init__(self, units: int, targets: int, **kwargs: typing.Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.targets = targets

    def build(self, input_shape: Sequence) -> None:
        width = input_shape[0][-1]

        def kernels(shape, dtype=None):
            # The limit is that of the kernel of a single dense layer.
            limit = (6 / (width + self.units)) ** 0.5
            return keras.random.uniform(shape, -limit, limit, dtype=dtype)

        self.kernel = self.add_weight(
            shape=(self.targets, width, self.units), initializer=kernels, name="kernel"
        )
        self.bias = self.add_weight(
            shape=(self.targets, self.units), initializer="zeros", name="bias"
        )
        super().build(input_shape)

    def call(self, inputs: Sequence[TensorLike]) -> tf.Tensor:
        items, target = inputs
        width = items.shape[-1]
        # A product has a dense gradient; that of a gather is sparse.
        one_hot = tf.one_hot(target, self.targets, dtype=self.compute_dtype)
        kernel = tf.convert_to_tensor(self.kernel)
        kernel = one_hot @ tf.reshape(kernel, [self.targets, width * self.units])
        kernel = tf.reshape(kernel, [-1, width, self.units])
        bias = one_hot @ tf.convert_to_tensor(self.bias)
        result = items @ kernel + bias[:, None]
        exists = (target >= 0) & (target < self.targets)
        nan = tf.constant(float("nan"), result.dtype)
        return tf.where(exists[:, None, None], result, nan)

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        return (*input_shape[0][:-1], self.units)

    def get_config(self) -> dict[str, typing.Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "targets": self.targets,
        }
