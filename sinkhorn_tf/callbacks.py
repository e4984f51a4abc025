"""Changing the temperature during `fit`."""

from __future__ import annotations

import typing
from collections.abc import Callable

import keras

from sinkhorn_tf.layers._tempered import WithTemperature, temperatures

__all__ = [
    "AnnealTemperature",
]


class AnnealTemperature(keras.callbacks.Callback):
    """Sets the temperature of layers before each training step.

    With `compile(steps_per_execution=k)` Keras calls back once for k steps, so that the
    temperature changes as often.

    The temperature is a variable, so nothing is retraced or recompiled. The last
    temperature of an epoch is added to its logs as `temperature`.

    Args:
        schedule: A function of the optimizer's step, an int from 0, that returns a
            temperature > 0: any callable, or a Keras `LearningRateSchedule`.
        layer: The layer to anneal, or one that holds such layers; by default every
            layer of the model that has a temperature, however deep inside.

    Raises:
        TypeError: If the schedule is not callable.
        ValueError: If there is no such layer, or the schedule gives a value that is
            not a positive and finite number.

    Example:

    >>> layer = st.layers.SinkhornLayer(temperature=1.0, n_iters=5)
    >>> model = keras.Sequential([keras.Input((2, 3)), keras.layers.Dense(2), layer])
    >>> model.compile("sgd", "mse")
    >>> schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 2, 0.5)
    >>> anneal = st.callbacks.AnnealTemperature(schedule)
    >>> x, y = np.ones([4, 2, 3]), np.ones([4, 2, 2]) / 2
    >>> history = model.fit(x, y, batch_size=1, verbose=0, callbacks=[anneal])
    >>> round(history.history["temperature"][0], 4)
    0.3536
    """

    def __init__(
        self,
        schedule: Callable[[int], typing.Any],
        layer: keras.layers.Layer | None = None,
    ) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                "schedule must be a function of the step. "
                f"Received: schedule={schedule!r}"
            )
        self.schedule = schedule
        self.layer = layer
        self._temperatures = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        layer = self.model if self.layer is None else self.layer
        is_layer = isinstance(layer, keras.layers.Layer)
        self._temperatures = temperatures(layer) if is_layer else []
        if self._temperatures:
            return
        if self.layer is None:
            raise ValueError(
                "AnnealTemperature found no layer with a temperature. "
                f"Received: model={getattr(self.model, 'name', None)!r}"
            )
        raise ValueError(
            "layer must be a layer with a temperature, as SinkhornLayer and "
            f"GumbelSinkhorn are. Received: layer={self.layer!r}"
        )

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        model = typing.cast(keras.Model, self.model)
        step = int(model.optimizer.iterations.numpy())
        value = self.schedule(step)
        for variable in self._temperatures:
            try:
                number = WithTemperature.temperature.to_number(value, variable.dtype)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    "The schedule of AnnealTemperature must give finite temperatures "
                    f"> 0. Received: {value} at step {step}"
                ) from error
            variable.assign(number)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            logs["temperature"] = float(self._temperatures[0].numpy())
