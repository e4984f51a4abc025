"""Soft partial matchings, with dustbins for what is unmatched, as a layer."""

from __future__ import annotations

import math
import typing

import keras
import tensorflow as tf

from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._sinkhorn.partial import partial_sinkhorn
from sinkhorn_tf.layers import _settings
from sinkhorn_tf.layers._masks import without_last
from sinkhorn_tf.layers._tempered import IteratedLayer


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class PartialSinkhorn(IteratedLayer):
    """Matches some of the items softly, and learns from which score on.

    A pair is worth a match where its logit is larger than the score of leaving both
    unmatched. That score is one trainable weight, kept in float32 at least.

    Args:
        unmatched_score: Finite number, the score before training. It can be assigned at
            any time (`layer.unmatched_score = 0.5`).
        temperature: Positive number. It can be assigned at any time, and annealed with
            `AnnealTemperature`.
        n_iters: Python int >= 0, the number of iterations; with `tolerance` the largest
            number.
        tolerance, gradient: As in `partial_sinkhorn`.
        trainable_temperature, mask_positions: As in `SinkhornLayer`.

    Settings other than the score and the temperature can be assigned until a graph has
    been made with them; afterwards an assignment raises AttributeError.

    Call arguments:
        logits: `[..., N, M]`, score of matching item i with position j.
        temperature: Overrides the layer's own: a number, or a tensor that broadcasts
            against the batch dimensions of `logits`.
        row_mask, col_mask: bool `[..., N]` and `[..., M]`, False for items and positions
            that do not exist. Without a `row_mask` it is Keras' mask of the logits, if
            there is one.

    Returns:
        `(plan, unmatched_rows, unmatched_cols)` of the layer's compute dtype:
        `[..., N, M]`, which has the row mask as Keras' mask, and what is left of each
        item, `[..., N]`, and of each position, `[..., M]`. All are 0 where an item or
        position does not exist.

    Example:

    >>> layer = st.layers.PartialSinkhorn(unmatched_score=1.0, temperature=0.1)
    >>> logits = tf.constant([[3.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
    >>> plan, unmatched_rows, unmatched_cols = layer(logits)
    >>> print(plan.numpy().round(2))
    [[0.96 0.   0.  ]
     [0.   0.   0.01]]
    >>> print(unmatched_rows.numpy().round(2), unmatched_cols.numpy().round(2))
    [0. 1.] [0.04 1.   0.99]

    Reference:
        Sarlin et al. (2020), SuperGlue: Learning Feature Matching with Graph Neural
        Networks, section 3.2.
    """

    unmatched_score = _settings.VariableSetting(lambda x: abs(x) < math.inf, "a number")

    def __init__(
        self,
        unmatched_score: float | TensorLike = 0.0,
        temperature: float | TensorLike = 1.0,
        n_iters: int = 20,
        tolerance: float | None = None,
        gradient: str = "unrolled",
        trainable_temperature: bool = False,
        mask_positions: bool = False,
        **kwargs: typing.Any,
    ) -> None:
        super().__init__(
            temperature=temperature,
            n_iters=n_iters,
            tolerance=tolerance,
            gradient=gradient,
            trainable_temperature=trainable_temperature,
            mask_positions=mask_positions,
            **kwargs,
        )
        type(self).unmatched_score.create(self, unmatched_score, self._add_score)

    def _add_score(self, name, initializer, dtype):
        return self.add_weight(
            name=name, shape=(), dtype=dtype, initializer=initializer, autocast=False
        )

    def call(
        self,
        logits: TensorLike,
        temperature: TensorLike | None = None,
        *,
        row_mask: TensorLike | None = None,
        col_mask: TensorLike | None = None,
        mask: TensorLike | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        row_mask, col_mask = self._to_masks(logits, row_mask, col_mask, mask)
        logits = self._to_scores(logits, "logits")
        result = partial_sinkhorn(
            logits,
            tf.convert_to_tensor(self.unmatched_score),
            self._to_temperature(temperature),
            self.n_iters,
            row_mask=row_mask,
            col_mask=col_mask,
            tolerance=self.tolerance,
            gradient=self.gradient,
        )
        return self._with_row_mask(tuple(result), row_mask, logits)

    def _with_row_mask(self, result, row_mask, logits):
        plan, *unmatched = result
        return super()._with_row_mask(plan, row_mask, logits), *unmatched

    def compute_mask(
        self, inputs: TensorLike, previous_mask: TensorLike | None
    ) -> tuple | None:
        mask = super().compute_mask(inputs, previous_mask)
        return None if mask is None else (mask, None, None)

    def compute_output_shape(
        self,
        logits_shape: tuple,
        temperature_shape: tuple | None = None,
        row_mask_shape: tuple | None = None,
        col_mask_shape: tuple | None = None,
    ) -> tuple:
        masks = without_last(row_mask_shape), without_last(col_mask_shape)
        batch = self._batch_shape(logits_shape, temperature_shape, *masks)
        n, m = logits_shape[-2:]
        return (*batch, n, m), (*batch, n), (*batch, m)

    def get_config(self) -> dict[str, typing.Any]:
        score = type(self).unmatched_score.value(self)
        return {**super().get_config(), "unmatched_score": score}
