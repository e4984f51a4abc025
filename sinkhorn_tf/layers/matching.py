"""The matching operator as a layer."""

from __future__ import annotations

import typing

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._matching.matching import matching
from sinkhorn_tf.permutations import to_matrix


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class Matching(keras.layers.Layer):
    """The hard permutation matrix with the largest sum of logits.

    Its gradient is zero; to train through it see `SinkhornLayer(hard=True)`.

    Call arguments:
        logits: `[..., N, N]`, score of putting item i at position j.

    Returns:
        `[..., N, N]` of zeros and ones in the layer's compute dtype; zeros throughout
        where there is no permutation (see `matching`).

    Example:

    >>> st.layers.Matching()(tf.constant([[0.0, 2.0], [1.0, 0.0]])).numpy()
    array([[0., 1.],
           [1., 0.]], dtype=float32)

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, eq. 2.
    """

    def __init__(self, **kwargs: typing.Any) -> None:
        # Rounding logits to float16 could change their matching.
        super().__init__(autocast=False, **kwargs)

    def call(self, logits: TensorLike) -> tf.Tensor:
        return to_matrix(matching(tf.convert_to_tensor(logits)), self.compute_dtype)

    def compute_output_shape(self, logits_shape: tuple) -> tuple:
        return tuple(logits_shape)
