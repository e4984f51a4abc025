"""The Sinkhorn operator as a layer."""

import keras

from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf.layers._tempered import TemperedLayer


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class SinkhornLayer(TemperedLayer):
    """Turns logits into soft permutations, `S^L(X / t)` (SN eq. 1).

    Args:
        temperature: Positive number. It can be assigned at any time
            (`layer.temperature = 0.05`), and annealed with `AnnealTemperature`.
        n_iters: Python int >= 0, the number of iterations; the most if `tolerance`
            is given.
        tolerance: None, or a number > 0: stop once all row sums are this close to 1.
        gradient: "unrolled" or "implicit", as in `sinkhorn`.
        hard: Whether the forward pass gives the matching of the logits, with the
            gradient of the soft permutation (straight-through).
        trainable_temperature: Whether `fit` learns the temperature, which a
            constraint keeps positive; `temperature` is then what it starts from.

    Settings other than the temperature can be assigned until a graph has been made
    with them, as `predict` makes one; afterwards that raises AttributeError.

    Call arguments:
        logits: `[..., N, N]`, score of putting item i at position j.
        temperature: Overrides the layer's own: a number, or a tensor that broadcasts
            against the batch dimensions.

    Returns:
        `[..., N, N]` of the layer's compute dtype.

    Example:

    >>> layer = SinkhornLayer(temperature=0.1)
    >>> layer(keras.ops.eye(3)).shape
    TensorShape([3, 3])
    """

    def call(self, logits, temperature=None):
        logits = self.to_logits(logits)
        soft = sinkhorn(
            logits,
            self.to_temperature(temperature),
            self.n_iters,
            tolerance=self.tolerance,
            gradient=self.gradient,
        )
        return self.finish(soft, logits)

    def compute_output_shape(self, logits_shape, temperature_shape=None):
        batch = self.batch_shape(logits_shape, temperature_shape)
        return (*batch, *logits_shape[-2:])
