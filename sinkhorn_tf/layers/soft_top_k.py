"""The soft selection of the k largest values as a layer."""

from __future__ import annotations

import typing

import keras
import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf.layers import _settings
from sinkhorn_tf.layers._masks import without_last
from sinkhorn_tf.layers._tempered import WithTemperature
from sinkhorn_tf.sorting import soft_top_k


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class SoftTopK(WithTemperature):
    """Selects the k largest values softly: shares from 0 to 1 that sum to k.

    Args:
        k: Python int >= 0, at most the number of values. It can be assigned until a graph
            has been made with it; afterwards an assignment raises AttributeError.
        temperature: Positive number, in the units of the values. It can be assigned at
            any time (`layer.temperature = 0.05`), and annealed with `AnnealTemperature`.
        trainable_temperature: As in `SinkhornLayer`.

    Call arguments:
        values: `[..., N]`.
        temperature: Overrides the layer's own: a number, or a tensor that broadcasts
            against the batch dimensions of `values`.
        mask: bool `[..., N]`, False for values that do not exist. Without it, it is
            Keras' mask of the values, if there is one.

    Returns:
        The shares `[..., N]` in the layer's compute dtype, as `soft_top_k` gives them.

    Example:

    >>> layer = st.layers.SoftTopK(2, temperature=0.2)
    >>> print(layer(tf.constant([3.0, 1.0, 2.0, 0.0])).numpy().round(2))
    [1.   0.08 0.92 0.  ]

    Reference:
        Xie et al. (2020), Differentiable Top-k with Optimal Transport, section 2.
    """

    k = _settings.Setting(lambda x, name: arguments.to_count(x, name, 0))

    def __init__(
        self,
        k: int,
        temperature: float | TensorLike = 1.0,
        trainable_temperature: bool = False,
        **kwargs: typing.Any,
    ) -> None:
        super().__init__(temperature, trainable_temperature, autocast=False, **kwargs)
        self.supports_masking = True
        self.k = k

    def call(
        self,
        values: TensorLike,
        temperature: TensorLike | None = None,
        *,
        mask: TensorLike | None = None,
    ) -> tf.Tensor:
        if mask is None:
            # Keras leaves it there where a layer is called with several tensors.
            mask = getattr(values, "_keras_mask", None)
        values = self._to_scores(values, "values")
        return soft_top_k(values, self.k, self._to_temperature(temperature), mask=mask)

    def compute_output_shape(
        self,
        values_shape: tuple,
        temperature_shape: tuple | None = None,
        mask_shape: tuple | None = None,
    ) -> tuple:
        batch = tf.TensorShape(values_shape[:-1])
        for shape in (temperature_shape, without_last(mask_shape)):
            if shape is not None:
                batch = tf.broadcast_static_shape(batch, tf.TensorShape(shape))
        return (*batch.as_list(), values_shape[-1])

    def get_config(self) -> dict[str, typing.Any]:
        return {**super().get_config(), "k": self.k}
