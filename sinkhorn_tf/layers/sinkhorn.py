"""The Sinkhorn operator as a layer."""

from __future__ import annotations

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf.layers._tempered import TemperedLayer


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class SinkhornLayer(TemperedLayer):
    """Turns logits into soft permutations: :math:`S^L(X / t)`.

    Args:
        temperature: Positive number. It can be assigned at any time
            (`layer.temperature = 0.05`), and annealed with `AnnealTemperature`.
        n_iters: Python int >= 0, the number of iterations; with `tolerance` the
            largest number.
        tolerance: None, or a number > 0: stop once all row sums are this close to 1.
        gradient: "unrolled" or "implicit", as in `sinkhorn`.
        hard: Whether the forward pass gives the matching of the logits, with the
            gradient of the soft permutation (straight-through).
        trainable_temperature: Whether `fit` learns the temperature, which a
            constraint keeps positive; `temperature` is then its initial value.
        mask_positions: Whether the mask of the items, a `row_mask` or Keras' mask of the
            logits, holds for the positions too, unless there is a `col_mask`. It is for
            sequences that are padded, where items and positions are the same.

    Settings other than the temperature can be assigned until a graph has been made
    with them, as `predict` makes one; afterwards an assignment raises AttributeError.

    Call arguments:
        logits: `[..., N, M]`, score of putting item i at position j.
        temperature: Overrides the layer's own: a number, or a tensor that broadcasts
            against the batch dimensions of `logits`.
        row_mask, col_mask: bool `[..., N]` and `[..., M]`, False for items and positions
            that do not exist, as in `sinkhorn`. Without a `row_mask` it is Keras' mask of
            the logits, if there is one.
        row_marginals, col_marginals: Masses `[..., N]` and `[..., M]` of items and
            positions, as in `sinkhorn`; a layer with `hard=True` refuses them.

    Returns:
        `[..., N, M]` of the layer's compute dtype, 0 where an item or position does not
        exist. It has the row mask as Keras' mask.

    Example:

    >>> layer = st.layers.SinkhornLayer(temperature=0.1)
    >>> layer(tf.constant([[0.0, 1.0], [1.0, 0.0]])).numpy().round(3)
    array([[0., 1.],
           [1., 0.]], dtype=float32)

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, eq. 1.
    """

    def call(
        self,
        logits: TensorLike,
        temperature: TensorLike | None = None,
        *,
        row_mask: TensorLike | None = None,
        col_mask: TensorLike | None = None,
        row_marginals: TensorLike | None = None,
        col_marginals: TensorLike | None = None,
        mask: TensorLike | None = None,
    ) -> tf.Tensor:
        marginals = {"row_marginals": row_marginals, "col_marginals": col_marginals}
        self._refuse_masses_if_hard(**marginals)
        row_mask, col_mask = self._to_masks(logits, row_mask, col_mask, mask)
        logits = self._to_scores(logits, "logits")
        soft = sinkhorn(
            logits,
            self._to_temperature(temperature),
            self.n_iters,
            row_mask=row_mask,
            col_mask=col_mask,
            **marginals,
            tolerance=self.tolerance,
            gradient=self.gradient,
        )
        result = self._finish(soft, logits, row_mask, col_mask)
        return self._with_row_mask(result, row_mask, logits)
