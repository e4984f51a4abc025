"""Changing the temperature during `fit`."""

import math

import keras

from sinkhorn_tf.layers._tempered import TemperedLayer


class AnnealTemperature(keras.callbacks.Callback):
    """Sets the temperature of layers before each training step.

    With `compile(steps_per_execution=k)` Keras calls back, and so sets it, once for k
    steps.

    The temperature is a variable, so nothing is retraced or recompiled. The last one
    of an epoch is added to its logs as `temperature`.

    Args:
        schedule: Maps the optimizer's step, an int from 0, to a temperature > 0: any
            callable, or a Keras `LearningRateSchedule`.
        layer: The layer to anneal; by default every layer of the model that has a
            temperature.

    Raises:
        ValueError: If the model has no such layer, or the schedule gives a value that
            is not positive and finite.

    Example:

    >>> schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 1000, 0.5)
    >>> model.fit(data, callbacks=[AnnealTemperature(schedule)])
    """

    def __init__(self, schedule, layer=None):
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                "schedule must be a function of the step. "
                f"Received: schedule={schedule!r}"
            )
        self.schedule = schedule
        self.layer = layer
        self._layers = []

    def on_train_begin(self, logs=None):
        if self.layer is not None:
            if not isinstance(self.layer, TemperedLayer):
                raise ValueError(
                    "layer must be a layer with a temperature. "
                    f"Received: layer={self.layer}"
                )
            self._layers = [self.layer]
        else:
            self._layers = [
                layer
                for layer in self.model._flatten_layers()
                if isinstance(layer, TemperedLayer)
            ]
        if not self._layers:
            raise ValueError(
                "AnnealTemperature found no layer with a temperature. "
                f"Received: model={self.model.name!r}"
            )

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        temperature = float(self.schedule(step))
        if not 0 < temperature < math.inf:
            raise ValueError(
                "The schedule of AnnealTemperature must give finite temperatures > 0. "
                f"Received: {temperature} at step {step}"
            )
        for layer in self._layers:
            layer.temperature.assign(temperature)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["temperature"] = float(self._layers[0].temperature.numpy())
