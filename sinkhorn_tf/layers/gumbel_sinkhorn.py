"""The Gumbel-Sinkhorn distribution as a layer."""

from __future__ import annotations

import math
import typing

import keras
import numpy as np
import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.conversion import to_numbers
from sinkhorn_tf._core.seeds import to_python_seed
from sinkhorn_tf.distributions import gumbel_noise, perturbed_sinkhorn
from sinkhorn_tf.distributions._gumbel_kl import allowed_pairs, gumbel_kl_to_prior
from sinkhorn_tf.layers import _settings
from sinkhorn_tf.layers._tempered import TemperedLayer

# Key of the noise scale beside the weights in a file.
_NOISE_SCALE = "noise_scale"


def _to_n_samples(value, name):
    return None if value is None else _settings.to_positive_count(value, name)


def _to_prior_temperature(value, name):
    if value is None:
        return None
    number = _settings.to_float(value, name)
    if not 0 < number < math.inf:
        raise ValueError(
            f"{name} must be None, or positive and finite. Received: {name}={value!r}"
        )
    return number


def _to_seed(value, name):
    return to_python_seed(value)


class _SeedSetting(_settings.Setting):
    """A seed; assigning it starts the sequence of the layer's generator again."""

    def __set__(self, layer, value):
        seed = vars(layer)[self.name] = self._check(value, self.name)
        if hasattr(layer, "seed_generator"):
            with tf.init_scope():
                start = keras.random.SeedGenerator(seed).state.numpy()
            layer.seed_generator.state.assign(start)


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class GumbelSinkhorn(TemperedLayer):
    r"""Samples soft permutations :math:`S^L((X + \sigma g) / t)` while training.

    The scale of the noise, :math:`\sigma`, is `noise_scale`. New Gumbel noise g is
    drawn at each call with `training=True` or `sample=True`. Otherwise there is no noise,
    and all samples are the same.

    Args:
        temperature: Positive number. It can be assigned at any time
            (`layer.temperature = 0.05`), and annealed with `AnnealTemperature`.
        noise_scale: Number >= 0. It can be assigned at any time too. It is saved with
            the layer, although it is not a weight.
        n_samples: None for one sample without an axis of its own, or a Python int
            >= 1, the size of an axis before the last two.
        n_iters: Python int >= 0, the number of iterations.
        seed: Int for a reproducible sequence of noise, or None. Assigning it starts the
            sequence again.
        hard: Whether the forward pass gives the matching of the noisy logits, with
            the gradient of the soft permutation (straight-through).
        kl_prior_temperature: None, or the temperature of the prior of a variational model.
            With a number each call adds to the losses of the model, by `add_loss`,
            the divergence `st.distributions.GumbelSinkhorn(...).kl_to_prior(...)`: summed
            over pairs, averaged over the batch, with and without noise. The scale of the
            noise must be positive then: at 0 the divergence is infinite.
        tolerance, gradient, trainable_temperature, mask_positions: As in
            `SinkhornLayer`.

    `n_samples` can be assigned until the layer is built, the other settings until a
    graph has been made with them; afterwards an assignment raises AttributeError.

    Call arguments:
        logits: `[..., N, M]`, score of putting item i at position j.
        temperature: Overrides the layer's own: a number, or a tensor that broadcasts
            against the batch dimensions of `logits`.
        training: Whether to add noise, unless `sample` tells.
        sample: True adds noise at inference too, False adds none while training; None
            means the value of `training`.
        row_mask, col_mask, row_marginals, col_marginals: As in `SinkhornLayer`, the same
            for all samples.

    Returns:
        `[..., N, M]` or `[..., n_samples, N, M]` of the layer's compute dtype, 0 where an
        item or position does not exist. It has the row mask as Keras' mask.

    Example:

    >>> layer = st.layers.GumbelSinkhorn(temperature=0.5, n_samples=3, seed=0)
    >>> layer(tf.zeros([2, 4, 4]), training=True).shape
    TensorShape([2, 3, 4, 4])
    >>> layer.temperature = 0.1
    >>> layer.get_config()["temperature"]
    0.1

    Reference:
        Mena et al. (2018), Learning latent permutations with Gumbel-Sinkhorn
        networks, section 3.
    """

    noise_scale: typing.Any = _settings.NumberSetting(lambda x: x >= 0, "at least 0")
    n_samples = _settings.Setting(_to_n_samples, sets_shape=True)
    kl_prior_temperature = _settings.Setting(_to_prior_temperature)
    seed = _SeedSetting(_to_seed)

    def __init__(
        self,
        temperature: float | TensorLike = 1.0,
        noise_scale: float | TensorLike = 1.0,
        n_samples: int | None = None,
        n_iters: int = 20,
        seed: int | None = None,
        hard: bool = False,
        tolerance: float | None = None,
        gradient: str = "unrolled",
        trainable_temperature: bool = False,
        mask_positions: bool = False,
        kl_prior_temperature: float | None = None,
        **kwargs: typing.Any,
    ) -> None:
        super().__init__(
            temperature=temperature,
            n_iters=n_iters,
            tolerance=tolerance,
            gradient=gradient,
            hard=hard,
            trainable_temperature=trainable_temperature,
            mask_positions=mask_positions,
            **kwargs,
        )
        type(self).noise_scale.create(self, noise_scale, self._make_noise_scale)
        self.n_samples = n_samples
        self.kl_prior_temperature = kl_prior_temperature
        if self.kl_prior_temperature is not None and self.noise_scale == 0:
            raise ValueError(
                "noise_scale must be positive with kl_prior_temperature, since logits "
                "without noise have an infinite divergence. Received: noise_scale=0"
            )
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        # Through this TensorFlow finds the variables when it saves a model that samples.
        self._sampling_state = tf.Module()
        self._sampling_state.noise_scale = type(self).noise_scale.variable(self).value
        self._sampling_state.seed = self.seed_generator.state.value

    def _make_noise_scale(self, name, initializer, dtype):
        with keras.name_scope(self.name):
            return keras.Variable(
                initializer,
                shape=(),
                dtype=dtype,
                trainable=False,
                autocast=False,
                name=name,
            )

    @property
    def variables(self) -> list[keras.Variable]:
        # The noise scale is state like that of the seed generator, but not a weight: a
        # list of weights from elsewhere has the temperature alone.
        return [*super().variables, type(self).noise_scale.variable(self)]

    def call(
        self,
        logits: TensorLike,
        temperature: TensorLike | None = None,
        training: bool = False,
        *,
        sample: bool | None = None,
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
        shape = tf.shape(logits)
        samples = self.n_samples or 1
        shape = tf.concat([shape[:-2], [samples], shape[-2:]], 0)
        dtype = arguments.compute_dtype(logits.dtype)
        own_temperature = self._to_temperature(temperature)
        if self.kl_prior_temperature is not None:
            self._add_divergence(logits, own_temperature, row_mask, col_mask)
        if training if sample is None else sample:
            noise_scale = self._noise_scale_tensor()
            noise = gumbel_noise(shape, self._next_seed(), dtype)
            noise.set_shape([*logits.shape[:-2], samples, *logits.shape[-2:]])
        else:
            noise_scale = 0.0
            noise = tf.zeros([samples, 1, 1], dtype)
        soft, noisy = perturbed_sinkhorn(
            logits,
            noise,
            own_temperature,
            noise_scale,
            self.n_iters,
            row_mask=row_mask,
            col_mask=col_mask,
            **marginals,
            tolerance=self.tolerance,
            gradient=self.gradient,
        )
        of_samples = (
            None if mask is None else mask[..., None, :]
            for mask in arguments.to_masks(row_mask, col_mask, logits)
        )
        result = self._finish(soft, noisy, *of_samples)
        if not self.n_samples:
            result = tf.squeeze(result, -3)
        return self._with_row_mask(result, row_mask, logits)

    def _noise_scale_tensor(self):
        return tf.convert_to_tensor(type(self).noise_scale.variable(self))

    def _add_divergence(self, logits, temperature, row_mask, col_mask):
        dtype = arguments.compute_dtype(logits.dtype)
        masks = arguments.to_masks(row_mask, col_mask, logits)
        divergence = gumbel_kl_to_prior(
            tf.cast(logits, dtype),
            to_numbers(temperature, "temperature", dtype),
            tf.cast(self._noise_scale_tensor(), dtype),
            tf.constant(self.kl_prior_temperature, dtype),
            allowed_pairs(logits, *masks),
            tight=False,
        )
        self.add_loss(tf.reduce_mean(divergence))

    def _to_result_mask(self, row_mask, logits):
        mask = super()._to_result_mask(row_mask, logits)
        if self.n_samples is None:
            return mask
        mask = keras.ops.expand_dims(mask, -2)
        return keras.ops.repeat(mask, self.n_samples, axis=-2)

    def _next_seed(self):
        # Keras draws unsigned pairs, the stateless ops take signed ones.
        return tf.bitcast(tf.cast(self.seed_generator.next(), tf.uint32), tf.int32)

    def _sample_axes(self):
        return [] if self.n_samples is None else [self.n_samples]

    def save_own_variables(self, store: typing.Any) -> None:
        super().save_own_variables(store)
        store[_NOISE_SCALE] = np.asarray(self.noise_scale)

    def load_own_variables(self, store: typing.Any) -> None:
        values = {name: store[name] for name in list(store.keys())}
        # Version 0.1 wrote the noise scale into the config alone.
        noise_scale = values.pop(_NOISE_SCALE, None)
        super().load_own_variables(values)
        if noise_scale is not None:
            self.noise_scale = np.asarray(noise_scale)[()]

    def get_config(self) -> dict[str, typing.Any]:
        return {
            **super().get_config(),
            "noise_scale": self.noise_scale,
            "n_samples": self.n_samples,
            "seed": self.seed,
            "kl_prior_temperature": self.kl_prior_temperature,
        }
