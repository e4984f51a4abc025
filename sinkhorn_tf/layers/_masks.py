"""The base of the layers on logits: masks of items and positions."""

from __future__ import annotations

import typing

import keras
import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf.layers import _settings


class MaskedLayer(_settings.ConfiguredLayer):
    """A layer on logits `[..., N, M]` of items and positions, some of which do not exist.

    The mask that Keras attaches to the logits, as `Masking` and
    `Embedding(mask_zero=True)` make it, is that of the items. It is passed on with the
    result, whose rows are the items too.

    Args:
        mask_positions: Whether the mask of the items, that of the call or of Keras, is
            that of the positions too, unless the call has one.
    """

    mask_positions = _settings.Setting(_settings.to_flag)

    def __init__(self, mask_positions: bool = False, **kwargs: typing.Any) -> None:
        # Inputs are cast in `call`, each as it needs.
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True
        self.mask_positions = mask_positions

    def _to_masks(self, logits, row_mask, col_mask, mask) -> tuple:
        """The masks of items and positions: those of the call, or else Keras' own.

        Args:
            logits: The argument of `call`.
            row_mask, col_mask: Masks of the call, or None.
            mask: Keras' mask of the logits, or None if Keras left it with the logits, as
                it does where a layer is called with several tensors.
        """
        if mask is None:
            mask = mask_of(logits)
        is_of_keras = row_mask is None and mask is not None
        if is_of_keras:
            _check_mask_of_keras(mask, logits)
            row_mask = mask
        if self.mask_positions and row_mask is not None and col_mask is None:
            _check_as_many_positions(is_of_keras, logits)
            col_mask = row_mask
        return row_mask, col_mask

    def _with_row_mask(self, result, row_mask, logits):
        """Attaches the mask of the items to a result, for the layers that follow."""
        if row_mask is not None:
            result._keras_mask = self._to_result_mask(row_mask, logits)
        return result

    def _to_result_mask(self, row_mask, logits):
        """Broadcasts a mask of the items to the batch dimensions of the logits."""
        mask: typing.Any = keras.ops.convert_to_tensor(row_mask)
        if tuple(mask.shape) == tuple(logits.shape[:-1]):
            return mask
        everything = keras.ops.ones_like(logits[..., 0], dtype="bool")
        return keras.ops.logical_and(mask, everything)

    def compute_output_spec(
        self, *args: typing.Any, **kwargs: typing.Any
    ) -> keras.KerasTensor:
        logits = args[0] if args else kwargs["logits"]
        masks = (kwargs.get(name) for name in ("row_mask", "col_mask", "mask"))
        row_mask, col_mask = self._to_masks(logits, *masks)
        arguments.to_masks(row_mask, col_mask, logits)
        result = super().compute_output_spec(*args, **kwargs)
        return self._with_row_mask(result, row_mask, logits)

    def compute_mask(
        self, inputs: TensorLike, previous_mask: TensorLike | None
    ) -> TensorLike | None:
        if previous_mask is None:
            return None
        return self._to_result_mask(previous_mask, inputs)

    @staticmethod
    def _batch_shape(logits_shape, *batch_shapes) -> list:
        """The batch dimensions of a result, those of the arguments broadcast."""
        batch = tf.TensorShape(logits_shape[:-2])
        for shape in batch_shapes:
            if shape is not None:
                batch = tf.broadcast_static_shape(batch, tf.TensorShape(shape))
        return batch.as_list()

    def get_config(self) -> dict[str, typing.Any]:
        return {**super().get_config(), "mask_positions": self.mask_positions}


def _check_mask_of_keras(mask, logits):
    mask_shape, shape = tf.TensorShape(mask.shape), tf.TensorShape(logits.shape)
    if mask_shape.rank != shape.rank - 1 or not mask_shape[-1:].is_compatible_with(
        shape[-2:-1]
    ):
        raise ValueError(
            "Keras' mask of the logits [..., N, M] must have the shape [..., N] of "
            "their items; pass row_mask instead. "
            f"Received: mask.shape={mask.shape}, logits.shape={logits.shape}"
        )


def _check_as_many_positions(is_of_keras, logits):
    shape = tf.TensorShape(getattr(logits, "shape", None))
    if not shape[-2:-1].is_compatible_with(shape[-1:]):
        source = "Keras' mask of the items" if is_of_keras else "the row_mask"
        raise ValueError(
            f"mask_positions=True takes {source} for the positions too, which needs as "
            "many positions as items; pass a col_mask [..., M], or leave mask_positions "
            f"out. Received: mask_positions=True, logits.shape={tuple(shape)}"
        )


def mask_of(tensor: typing.Any) -> typing.Any:
    """The mask that Keras attached to a tensor, or None.

    Keras has no public name for it, although its guide to masking prints it.
    """
    return getattr(tensor, "_keras_mask", None)


def without_last(shape: tuple | None) -> tuple | None:
    """The batch dimensions of masks or masses, or None if there are none."""
    return None if shape is None else tuple(shape)[:-1]
