"""The Gumbel-Sinkhorn distribution as a layer."""

import keras
import tensorflow as tf

from sinkhorn_tf._core import arguments as _arguments
from sinkhorn_tf.distributions._gumbel_sinkhorn import gumbel_noise, perturbed_sinkhorn
from sinkhorn_tf.layers._tempered import TemperedLayer


@keras.saving.register_keras_serializable(package="sinkhorn_tf")
class GumbelSinkhorn(TemperedLayer):
    """Samples soft permutations `S^L((X + noise_scale * g) / t)` while training.

    New Gumbel noise is drawn at each call with `training=True`. Otherwise there is no
    noise, and all samples are the same.

    Args:
        temperature: Positive number. It can be annealed with `AnnealTemperature`.
        noise_scale: Number >= 0.
        n_samples: None for one sample without an axis of its own, or a Python int
            >= 1 for the axis `[..., n_samples, N, N]`.
        n_iters: Python int >= 0, the number of iterations.
        seed: Int for a reproducible sequence of noise, or None.
        hard: Whether the forward pass gives the matching of the noisy logits, with
            the gradient of the soft permutation (straight-through).
        tolerance, gradient: As in `SinkhornLayer`.

    Call arguments:
        logits: `[..., N, N]`, score of putting item i at position j.
        temperature: Overrides the layer's own: a number, or a tensor that broadcasts
            against the batch dimensions of `logits`.
        training: Whether to add noise.

    Returns:
        `[..., N, N]` or `[..., n_samples, N, N]` of the layer's compute dtype.
    """

    def __init__(
        self,
        temperature=1.0,
        noise_scale=1.0,
        n_samples=None,
        n_iters=20,
        seed=None,
        hard=False,
        tolerance=None,
        gradient="unrolled",
        **kwargs,
    ):
        super().__init__(
            temperature=temperature,
            n_iters=n_iters,
            tolerance=tolerance,
            gradient=gradient,
            hard=hard,
            **kwargs,
        )
        if not 0 <= noise_scale < float("inf"):
            raise ValueError(
                "noise_scale must be at least 0 and finite. "
                f"Received: noise_scale={noise_scale}"
            )
        if n_samples is not None:
            n_samples = _arguments.to_count(n_samples, "n_samples", 1)
        self.noise_scale = float(noise_scale)
        self.n_samples = n_samples
        self.seed = _arguments.to_python_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, logits, temperature=None, training=False):
        logits = self.to_logits(logits)
        shape = tf.shape(logits)
        samples = self.n_samples or 1
        shape = tf.concat([shape[:-2], [samples], shape[-2:]], 0)
        dtype = _arguments.compute_dtype(logits.dtype)
        if training and self.noise_scale:
            noise = gumbel_noise(shape, self._next_seed(), dtype)
            noise.set_shape([*logits.shape[:-2], samples, *logits.shape[-2:]])
        else:
            noise = tf.zeros([samples, 1, 1], dtype)
        soft, noisy = perturbed_sinkhorn(
            logits,
            noise,
            self.to_temperature(temperature),
            self.noise_scale,
            self.n_iters,
            tolerance=self.tolerance,
            gradient=self.gradient,
        )
        result = self.finish(soft, noisy)
        return result if self.n_samples else tf.squeeze(result, -3)

    def _next_seed(self):
        # Keras draws unsigned pairs, the stateless ops take signed ones.
        return tf.bitcast(tf.cast(self.seed_generator.next(), tf.uint32), tf.int32)

    def compute_output_shape(self, logits_shape, temperature_shape=None):
        batch = self.batch_shape(logits_shape, temperature_shape)
        samples = [] if self.n_samples is None else [self.n_samples]
        return (*batch, *samples, *logits_shape[-2:])

    def get_config(self):
        return {
            **super().get_config(),
            "noise_scale": self.noise_scale,
            "n_samples": self.n_samples,
            "seed": self.seed,
        }
