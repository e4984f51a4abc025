"""The base of the layers with a temperature."""

from __future__ import annotations

import typing

import keras
import tensorflow as tf

from sinkhorn_tf._core import arguments, batching
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._matching.matching import matching
from sinkhorn_tf.layers import _settings
from sinkhorn_tf.layers._masks import MaskedLayer, without_last
from sinkhorn_tf.permutations import to_matrix

# Training keeps temperatures above this, where a plan of usual logits is hard.
_LEAST_TRAINED = 1e-6


def temperatures(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The variables of all temperatures in a layer or model, however deep inside."""
    return [x for x in layer.variables if WithTemperature.temperature.is_held_by(x)]


def _to_tolerance(value, name):
    return None if value is None else arguments.to_tolerance(value, name)


def _to_gradient(value, name):
    return arguments.to_stopping(None, value)[1]


class WithTemperature(_settings.ConfiguredLayer):
    """A layer with a temperature that can be changed while training.

    The temperature is a variable: assigning it (`layer.temperature = 0.05`, or as
    `AnnealTemperature` does) neither retraces nor recompiles, and its value is saved
    with the weights and in the config. It is never held below float32, whatever the
    dtype policy. Keras' autocasting has to be off in a layer of this kind, since it casts
    a temperature that is given as a call argument.

    Args:
        temperature: Positive number.
        trainable_temperature: Whether `fit` learns the temperature. A constraint keeps
            it positive.
    """

    temperature = _settings.VariableSetting(lambda x: x > 0, "positive")
    trainable_temperature = _settings.ConstructorSetting(_settings.to_flag)

    def __init__(
        self,
        temperature: float | TensorLike = 1.0,
        trainable_temperature: bool = False,
        **kwargs: typing.Any,
    ) -> None:
        super().__init__(**kwargs)
        self.trainable_temperature = trainable_temperature
        type(self).temperature.create(self, temperature, self._add_temperature)

    def _add_temperature(self, name, initializer, dtype):
        trained = self.trainable_temperature
        return self.add_weight(
            name=name,
            shape=(),
            dtype=dtype,
            initializer=initializer,
            trainable=trained,
            autocast=False,
            constraint=PositiveTemperature(float(initializer())) if trained else None,
        )

    def _to_scores(self, value, name):
        """Casts the input of `call` to the compute dtype of the policy."""
        value = tf.convert_to_tensor(value)
        _settings.check_real(value, name)
        return tf.cast(value, self.compute_dtype)

    def _to_temperature(self, temperature):
        """Returns the temperature of the call, or else the layer's own."""
        if temperature is None:
            return tf.convert_to_tensor(self.temperature)
        _settings.check_real(temperature, "temperature")
        return temperature

    def get_config(self) -> dict[str, typing.Any]:
        return {
            **super().get_config(),
            "temperature": type(self).temperature.value(self),
            "trainable_temperature": self.trainable_temperature,
        }


class IteratedLayer(WithTemperature, MaskedLayer):
    """A layer that makes plans of logits by iterations.

    The settings other than the temperature can be assigned until a graph has been made
    with them; afterwards that raises AttributeError.

    Args:
        temperature, trainable_temperature: As in `WithTemperature`.
        n_iters: Python int >= 0, iterations of the Sinkhorn operator.
        tolerance: None, or a number > 0 at which iterations stop.
        gradient: "unrolled" or "implicit".
        mask_positions: As in `MaskedLayer`.
    """

    n_iters = _settings.Setting(lambda x, name: arguments.to_count(x, name, 0))
    tolerance = _settings.Setting(_to_tolerance)
    gradient = _settings.Setting(_to_gradient)

    def __init__(
        self,
        temperature: float | TensorLike = 1.0,
        n_iters: int = 20,
        tolerance: float | None = None,
        gradient: str = "unrolled",
        **kwargs: typing.Any,
    ) -> None:
        super().__init__(temperature=temperature, **kwargs)
        self.n_iters = n_iters
        self.tolerance = tolerance
        self.gradient = gradient

    def get_config(self) -> dict[str, typing.Any]:
        return {
            **super().get_config(),
            "n_iters": self.n_iters,
            "tolerance": self.tolerance,
            "gradient": self.gradient,
        }


class TemperedLayer(IteratedLayer):
    """A layer whose plan can be hard, with the gradient of the soft one.

    Args:
        temperature, n_iters, tolerance, gradient, trainable_temperature,
            mask_positions: As in `IteratedLayer`.
        hard: Whether the forward pass gives the matching, with the gradient of the
            soft permutation (straight-through).
    """

    hard = _settings.Setting(_settings.to_flag)

    def __init__(
        self,
        temperature: float | TensorLike = 1.0,
        n_iters: int = 20,
        tolerance: float | None = None,
        gradient: str = "unrolled",
        hard: bool = False,
        trainable_temperature: bool = False,
        mask_positions: bool = False,
        **kwargs: typing.Any,
    ) -> None:
        super().__init__(
            temperature,
            n_iters,
            tolerance,
            gradient,
            trainable_temperature=trainable_temperature,
            mask_positions=mask_positions,
            **kwargs,
        )
        self.hard = hard

    def compute_output_shape(
        self,
        logits_shape: tuple,
        temperature_shape: tuple | None = None,
        row_mask_shape: tuple | None = None,
        col_mask_shape: tuple | None = None,
        row_marginals_shape: tuple | None = None,
        col_marginals_shape: tuple | None = None,
    ) -> tuple:
        of_members = (
            row_mask_shape,
            col_mask_shape,
            row_marginals_shape,
            col_marginals_shape,
        )
        batch = self._batch_shape(
            logits_shape, temperature_shape, *map(without_last, of_members)
        )
        return (*batch, *self._sample_axes(), *logits_shape[-2:])

    def _sample_axes(self):
        """The sizes of the axes between the batch dimensions and `[N, M]`, a list."""
        return []

    def _refuse_masses_if_hard(self, **marginals):
        """Raises ValueError if a hard layer is called with masses."""
        given = [name for name, value in marginals.items() if value is not None]
        if self.hard and given:
            raise ValueError(
                "A matching, as hard=True gives it, has no masses: call the layer "
                "without them, or make one with hard=False. "
                f"Received: hard=True and {' and '.join(given)}"
            )

    def _finish(self, soft, logits, row_mask, col_mask):
        """Returns `soft`, or its straight-through matching if the layer is hard."""
        if not self.hard:
            return soft
        perm = matching(logits, row_mask=row_mask, col_mask=col_mask)
        n_positions = batching.static_or_dynamic(logits, -1)
        hard = to_matrix(perm, soft.dtype, n_positions=n_positions)
        # The difference is exactly 0, so that the entries are exactly 0 and 1.
        return hard + (soft - tf.stop_gradient(soft))

    def get_config(self) -> dict[str, typing.Any]:
        return {**super().get_config(), "hard": self.hard}


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class PositiveTemperature(keras.constraints.Constraint):
    """Keeps a trained temperature at `minimum` or above.

    A temperature that a step of the optimizer made NaN or infinite starts again at
    `restart`.

    Args:
        restart: Number > 0.
        minimum: Number > 0.
    """

    def __init__(self, restart: float = 1.0, minimum: float = _LEAST_TRAINED) -> None:
        self.restart = restart
        self.minimum = minimum

    def __call__(self, w: TensorLike) -> tf.Tensor:
        w = tf.convert_to_tensor(w)
        bounded = tf.maximum(w, tf.cast(self.minimum, w.dtype))
        return tf.where(tf.math.is_finite(w), bounded, tf.cast(self.restart, w.dtype))

    def get_config(self) -> dict[str, typing.Any]:
        return {"restart": self.restart, "minimum": self.minimum}
