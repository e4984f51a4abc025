"""The Gumbel-Sinkhorn distribution of Mena et al. (2018), sections 3 and 5."""

from __future__ import annotations

import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.masses import to_marginals
from sinkhorn_tf._core.refusals import takes_tensors
from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf.distributions.noise import gumbel_noise


@takes_tensors("st.GumbelSinkhorn")
def gumbel_sinkhorn(
    logits: TensorLike,
    temperature: TensorLike = 1.0,
    n_samples: int = 1,
    noise_scale: TensorLike = 1.0,
    n_iters: int = 20,
    *,
    seed: int | TensorLike | None = None,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    row_marginals: TensorLike | None = None,
    col_marginals: TensorLike | None = None,
    tolerance: float | None = None,
    gradient: str = "unrolled",
    jit_compile: bool | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Samples soft permutations :math:`S^L((X + \sigma g) / t)`, g standard Gumbel.

    The scale of the noise, :math:`\sigma`, is `noise_scale`.

    Args:
        logits: `[..., N, M]`, as in `sinkhorn`.
        temperature: As in `sinkhorn`; broadcasts against the batch dimensions of
            `logits`, the same for all samples.
        n_samples: Python int >= 1.
        noise_scale: Number or tensor >= 0 that broadcasts like `temperature`.
        n_iters, tolerance, gradient, jit_compile: As in `sinkhorn`.
        seed: An int, or two integers of 32 bits: the same seed gives the same noise for
            logits of the same shape. None draws fresh noise at each eager call and raises
            inside a trace.
        row_mask, col_mask, row_marginals, col_marginals: As in `sinkhorn`, the same for
            all samples.

    Returns:
        `(soft, noisy_logits)`, both `[..., n_samples, N, M]` of the dtype of `logits`;
        `matching(noisy_logits)` gives the corresponding hard permutations, with
        `row_mask[..., None, :]` and `col_mask[..., None, :]` if there are masks. Where a
        mask leaves an item or position out, both are 0.

    Raises:
        TypeError, ValueError: As `sinkhorn`, and for `n_samples`, `noise_scale` and
            `seed`.

    Example:
        >>> soft, noisy_logits = st.gumbel_sinkhorn(tf.eye(3), n_samples=2, seed=0)
        >>> soft.shape.as_list()
        [2, 3, 3]
        >>> bool(np.allclose(tf.reduce_sum(soft, axis=-2), 1))
        True

    Reference:
        Mena et al. (2018), Learning Latent Permutations with Gumbel-Sinkhorn Networks,
        sections 3 and 5.
    """
    logits = arguments.to_logits(logits)
    dtype = arguments.compute_dtype(logits.dtype)
    n_samples = arguments.to_count(n_samples, "n_samples", 1)
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
        row_mask=row_mask,
        col_mask=col_mask,
        row_marginals=row_marginals,
        col_marginals=col_marginals,
        tolerance=tolerance,
        gradient=gradient,
        jit_compile=jit_compile,
    )


def perturbed_sinkhorn(
    logits: TensorLike,
    noise: TensorLike,
    temperature: TensorLike,
    noise_scale: TensorLike,
    n_iters: int,
    *,
    row_mask: TensorLike | None = None,
    col_mask: TensorLike | None = None,
    row_marginals: TensorLike | None = None,
    col_marginals: TensorLike | None = None,
    tolerance: float | None = None,
    gradient: str = "unrolled",
    jit_compile: bool | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`gumbel_sinkhorn` with noise that the caller drew.

    Args:
        logits: `[..., N, M]`.
        noise: `[..., n_samples, N, M]`.
        temperature, noise_scale: Numbers, or tensors that broadcast against the batch
            dimensions of `logits`.
        n_iters: Python int >= 0.
        row_mask, col_mask, row_marginals, col_marginals: As in `gumbel_sinkhorn`.
        tolerance, gradient, jit_compile: As in `sinkhorn`.

    Returns:
        `(soft, noisy_logits)`, both `[..., n_samples, N, M]`.

    Example:
        >>> logits, noise = 4 * tf.eye(2), tf.zeros([1, 2, 2])
        >>> soft, _ = st.distributions.perturbed_sinkhorn(logits, noise, 2.0, 1.0, 20)
        >>> print(soft.numpy().round(2))
        [[[0.88 0.12]
          [0.12 0.88]]]
    """
    logits = arguments.to_logits(logits)
    dtype = arguments.compute_dtype(logits.dtype)
    batch = logits.shape[:-2]
    temperature = arguments.to_positive(temperature, "temperature", dtype, batch)
    noise_scale = arguments.to_non_negative(noise_scale, "noise_scale", dtype, batch)
    # Scalars broadcast as they are.
    if temperature.shape.rank:
        temperature = temperature[..., None]
    if noise_scale.shape.rank:
        noise_scale = noise_scale[..., None, None, None]
    noise = noise_scale * tf.cast(noise, dtype)
    noisy = tf.cast(logits, dtype)[..., None, :, :] + noise
    masks = arguments.to_masks(row_mask, col_mask, logits)
    marginals = to_marginals(row_marginals, col_marginals, logits, *masks, dtype)
    row_mask, col_mask, row_marginals, col_marginals = (
        None if each is None else each[..., None, :] for each in (*masks, *marginals)
    )
    noisy = _masked(noisy, row_mask, col_mask)
    soft = sinkhorn(
        noisy,
        temperature,
        n_iters,
        row_mask=row_mask,
        col_mask=col_mask,
        row_marginals=row_marginals,
        col_marginals=col_marginals,
        tolerance=tolerance,
        gradient=gradient,
        jit_compile=jit_compile,
    )
    return tf.cast(soft, logits.dtype), tf.cast(noisy, logits.dtype)


def _masked(noisy, row_mask, col_mask):
    """Puts 0 where an item or a position does not exist."""
    zero = tf.zeros([], noisy.dtype)
    if row_mask is not None:
        noisy = tf.where(row_mask[..., None], noisy, zero)
    if col_mask is not None:
        noisy = tf.where(col_mask[..., None, :], noisy, zero)
    return noisy
