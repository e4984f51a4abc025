"""Gumbel noise and the Gumbel-Sinkhorn distribution (SN section 3 and 5)."""

import tensorflow as tf

from sinkhorn_tf._core import arguments as _arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf.distributions.noise import gumbel_noise


@_arguments.takes_tensors("st.GumbelSinkhorn")
def gumbel_sinkhorn(
    logits: TensorLike,
    temperature: TensorLike = 1.0,
    n_samples: int = 1,
    noise_scale: TensorLike = 1.0,
    n_iters: int = 20,
    *,
    seed: int | TensorLike | None = None,
    tolerance: float | None = None,
    gradient: str = "unrolled",
    jit_compile: bool | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples soft permutations `S^L((X + noise_scale * g) / t)`, g standard Gumbel.

    Args:
        logits: `[..., N, N]`, as in `sinkhorn`.
        temperature: As in `sinkhorn`; broadcasts against the batch dimensions of
            `logits`, the same for all samples.
        n_samples: Python int >= 1.
        noise_scale: Number or tensor >= 0 that broadcasts like `temperature`.
        n_iters, tolerance, gradient, jit_compile: As in `sinkhorn`.
        seed: An int, or two integers of 32 bits: the same seed gives the same noise.
            None draws fresh noise at each eager call and raises inside a trace.

    Returns:
        `(soft, noisy_logits)`, both `[..., n_samples, N, N]` of the dtype of `logits`;
        `matching(noisy_logits)` gives the corresponding hard permutations.

    Raises:
        TypeError, ValueError: As `sinkhorn`, and for `n_samples`, `noise_scale` and
            `seed`.
    """
    logits = _arguments.to_logits(logits)
    dtype = _arguments.compute_dtype(logits.dtype)
    n_samples = _arguments.to_count(n_samples, "n_samples", 1)
    shape = tf.shape(logits)
    shape = tf.concat([shape[:-2], [n_samples], shape[-2:]], 0)
    noise = gumbel_noise(shape, seed, dtype)
    noise.set_shape([*logits.shape[:-2], n_samples, *logits.shape[-2:]])
    return perturbed_sinkhorn(
        logits,
        noise,
        temperature,
        noise_scale,
        n_iters,
        tolerance=tolerance,
        gradient=gradient,
        jit_compile=jit_compile,
    )


def perturbed_sinkhorn(logits, noise, temperature, noise_scale, n_iters, **options):
    """`gumbel_sinkhorn` with noise that the caller drew.

    Args:
        logits: `[..., N, N]`.
        noise: `[..., n_samples, N, N]`.
        temperature, noise_scale: Numbers, or tensors that broadcast against the batch
            dimensions of `logits`.
        n_iters: Python int >= 0.
        **options: Passed on to `sinkhorn`.

    Returns:
        `(soft, noisy_logits)`, both `[..., n_samples, N, N]`.
    """
    logits = _arguments.to_logits(logits)
    dtype = _arguments.compute_dtype(logits.dtype)
    batch = logits.shape[:-2]
    temperature = _arguments.to_positive(temperature, "temperature", dtype, batch)
    noise_scale = _arguments.to_non_negative(noise_scale, "noise_scale", dtype, batch)
    per_sample = lambda x: x[..., None] if x.shape.rank else x
    scale = per_sample(noise_scale)
    scale = scale[..., None, None] if scale.shape.rank else scale
    noisy = tf.cast(logits, dtype)[..., None, :, :] + scale * tf.cast(noise, dtype)
    soft = sinkhorn(noisy, per_sample(temperature), n_iters, **options)
    return tf.cast(soft, logits.dtype), tf.cast(noisy, logits.dtype)
