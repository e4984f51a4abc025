"""A dense layer for each target, as one layer."""

import keras
import tensorflow as tf

from sinkhorn_tf.layers import _settings as settings


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class DenseByTarget(settings.ConfiguredLayer):
    """As many dense layers as there are targets, of which an example uses one.

    `y_b = x_b W_k + c_k` with k the target of example b. Only that layer gets a
    gradient from the example. A target that does not exist makes the example's result
    NaN, and changes no other example.

    Args:
        units: Size of the result.
        targets: K, the number of targets.

    Call arguments:
        inputs: `[items, target]`: `[B, N, width]` and integers `[B]` in 0..K-1.

    Returns:
        `[B, N, units]`.

    Raises:
        ValueError: If `units` or `targets` is below 1.
    """

    units = settings.Setting(settings.to_positive_count, sets_shape=True)
    targets = settings.Setting(settings.to_positive_count, sets_shape=True)

    def __init__(self, units, targets, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.targets = targets

    def build(self, input_shape):
        width = input_shape[0][-1]

        def kernels(shape, dtype=None):
            # Each as the kernel of a dense layer of its own.
            limit = (6 / (width + self.units)) ** 0.5
            return keras.random.uniform(shape, -limit, limit, dtype=dtype)

        self.kernel = self.add_weight(
            shape=(self.targets, width, self.units), initializer=kernels, name="kernel"
        )
        self.bias = self.add_weight(
            shape=(self.targets, self.units), initializer="zeros", name="bias"
        )
        super().build(input_shape)

    def call(self, inputs):
        items, target = inputs
        width = items.shape[-1]
        # As a product, whose gradient is dense; that of a gather is sparse.
        chosen = tf.one_hot(target, self.targets, dtype=self.compute_dtype)
        kernel = tf.convert_to_tensor(self.kernel)
        kernel = chosen @ tf.reshape(kernel, [self.targets, width * self.units])
        kernel = tf.reshape(kernel, [-1, width, self.units])
        bias = chosen @ tf.convert_to_tensor(self.bias)
        result = items @ kernel + bias[:, None]
        exists = (target >= 0) & (target < self.targets)
        nan = tf.constant(float("nan"), result.dtype)
        return tf.where(exists[:, None, None], result, nan)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "targets": self.targets,
        }
