"""The matching operator as a layer."""

import keras
import tensorflow as tf

from sinkhorn_tf._matching.matching import matching
from sinkhorn_tf.permutations import to_matrix


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class Matching(keras.layers.Layer):
    """The hard permutation matrix with the largest sum of logits (SN eq. 2).

    Its gradient is zero; to train through it see `SinkhornLayer(hard=True)`.

    Call arguments:
        logits: `[..., N, N]`, score of putting item i at position j.

    Returns:
        `[..., N, N]` of zeros and ones in the layer's compute dtype; zeros throughout
        where there is no permutation (see `matching`).
    """

    def __init__(self, **kwargs):
        # Rounding logits to float16 could change their matching.
        super().__init__(autocast=False, **kwargs)

    def call(self, logits):
        return to_matrix(matching(tf.convert_to_tensor(logits)), self.compute_dtype)

    def compute_output_shape(self, logits_shape):
        return tuple(logits_shape)
