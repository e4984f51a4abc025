"""The matching operator as a layer."""

from __future__ import annotations

import keras
import tensorflow as tf

from sinkhorn_tf._core import batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._matching.matching import matching
from sinkhorn_tf.layers._masks import MaskedLayer, without_last
from sinkhorn_tf.permutations import to_matrix


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class Matching(MaskedLayer):
    """The hard permutation matrix with the largest sum of logits.

    Its gradient is zero; to train through it see `SinkhornLayer(hard=True)`.

    Args:
        mask_positions: Whether the mask of the items, a `row_mask` or Keras' mask of the
            logits, holds for the positions too, unless there is a `col_mask`. It is for
            sequences that are padded, where items and positions are the same.

    Call arguments:
        logits: `[..., N, M]`, score of putting item i at position j.
        row_mask, col_mask: bool `[..., N]` and `[..., M]`, False for items and positions
            that do not exist, as in `matching`. Without a `row_mask` it is Keras' mask of
            the logits, if there is one.

    Returns:
        `[..., N, M]` of zeros and ones in the layer's compute dtype; zeros for an item
        without a position, and throughout where there is no permutation (see
        `matching`). It has the row mask as Keras' mask.

    Example:

    >>> st.layers.Matching()(tf.constant([[0.0, 2.0], [1.0, 0.0]])).numpy()
    array([[0., 1.],
           [1., 0.]], dtype=float32)

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, eq. 2.
    """

    def call(
        self,
        logits: TensorLike,
        *,
        row_mask: TensorLike | None = None,
        col_mask: TensorLike | None = None,
        mask: TensorLike | None = None,
    ) -> tf.Tensor:
        row_mask, col_mask = self._to_masks(logits, row_mask, col_mask, mask)
        # Rounding logits to float16 could change their matching.
        logits = tf.convert_to_tensor(logits)
        perm = matching(logits, row_mask=row_mask, col_mask=col_mask)
        n_positions = batching.static_or_dynamic(logits, -1)
        result = to_matrix(perm, self.compute_dtype, n_positions=n_positions)
        return self._with_row_mask(result, row_mask, logits)

    def compute_output_shape(
        self,
        logits_shape: tuple,
        row_mask_shape: tuple | None = None,
        col_mask_shape: tuple | None = None,
    ) -> tuple:
        masks = without_last(row_mask_shape), without_last(col_mask_shape)
        batch = self._batch_shape(logits_shape, *masks)
        return (*batch, *logits_shape[-2:])
