"""What the layers with a temperature share."""

import math

import keras
import tensorflow as tf

from sinkhorn_tf._core import arguments as _arguments
from sinkhorn_tf._matching.matching import matching
from sinkhorn_tf.permutations import to_matrix


class TemperedLayer(keras.layers.Layer):
    """A layer on logits with a temperature that can be changed while training.

    The temperature is a non-trainable variable: assigning to it (as
    `AnnealTemperature` does) neither retraces nor recompiles, and its value is saved
    with the weights. It is never held below float32, whatever the dtype policy.

    Args:
        temperature: Positive number.
        n_iters: Python int >= 0, iterations of the Sinkhorn operator.
        tolerance: None, or a number > 0 at which iterations stop.
        gradient: "unrolled" or "implicit".
        hard: Whether the forward pass gives the matching, with the gradient of the
            soft permutation (straight-through).
    """

    def __init__(
        self,
        temperature=1.0,
        n_iters=20,
        tolerance=None,
        gradient="unrolled",
        hard=False,
        **kwargs,
    ):
        # Inputs are cast in `call`: autocasting would also cast a temperature that is
        # given as a call argument.
        super().__init__(autocast=False, **kwargs)
        if not 0 < temperature < math.inf:
            raise ValueError(
                "temperature must be positive and finite. "
                f"Received: temperature={temperature}"
            )
        self.n_iters = _arguments.to_count(n_iters, "n_iters", 0)
        self.tolerance, self.gradient = _arguments.to_stopping(tolerance, gradient)
        self.hard = bool(hard)
        self._initial_temperature = float(temperature)
        self.temperature = self.add_weight(
            name="temperature",
            shape=(),
            dtype="float64" if self.variable_dtype == "float64" else "float32",
            initializer=keras.initializers.Constant(self._initial_temperature),
            trainable=False,
            autocast=False,
        )

    def to_logits(self, logits):
        """Casts the inputs to the compute dtype of the policy."""
        return tf.cast(tf.convert_to_tensor(logits), self.compute_dtype)

    def to_temperature(self, temperature):
        """The call's temperature, or else the layer's own."""
        if temperature is None:
            return tf.convert_to_tensor(self.temperature)
        return temperature

    def batch_shape(self, logits_shape, temperature_shape):
        """The batch dimensions of a plan, as a list; those of the two broadcast."""
        batch = tf.TensorShape(logits_shape[:-2])
        if temperature_shape is not None:
            batch = tf.broadcast_static_shape(batch, tf.TensorShape(temperature_shape))
        return batch.as_list()

    def finish(self, soft, logits):
        """Returns `soft`, or its straight-through matching if the layer is hard."""
        if not self.hard:
            return soft
        hard = to_matrix(matching(logits), soft.dtype)
        # The difference is exactly 0, so that the result is exactly hard.
        return hard + (soft - tf.stop_gradient(soft))

    def get_config(self):
        return {
            **super().get_config(),
            "temperature": self._initial_temperature,
            "n_iters": self.n_iters,
            "tolerance": self.tolerance,
            "gradient": self.gradient,
            "hard": self.hard,
        }
