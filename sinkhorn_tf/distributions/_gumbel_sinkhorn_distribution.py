"""Gumbel-Sinkhorn as a distribution: relaxed samples, and a divergence to a prior."""

from __future__ import annotations

import typing

import tensorflow as tf

from sinkhorn_tf._core import arguments
from sinkhorn_tf._core.arguments import TensorLike
from sinkhorn_tf._core.conversion import known_array
from sinkhorn_tf._core.seeds import to_seed
from sinkhorn_tf._sinkhorn.operator import sinkhorn
from sinkhorn_tf.distributions._base import PermutationDistribution
from sinkhorn_tf.distributions._boltzmann_operators import check_size
from sinkhorn_tf.distributions._gumbel_kl import gumbel_kl_to_prior
from sinkhorn_tf.distributions._mixture import MixtureSample, draw_mixture
from sinkhorn_tf.distributions.noise import gumbel_noise


class GumbelSinkhorn(PermutationDistribution):
    r"""The distribution of :math:`S^L((X + \sigma g) / t)`, g standard Gumbel.

    Samples are soft permutations, differentiable in the logits X, the temperature t and
    the scale of the noise :math:`\sigma`. As t falls they approach the matchings
    :math:`M(X + \sigma g)`, which `sample_matching` gives.

    The density of the samples is not tractable, so `log_prob`, `entropy` and `mean` raise
    NotImplementedError. A variational model needs a divergence instead: `sample_mixture` has
    a tight one for up to 16 items, and `kl_to_prior` a loose one for any number.

    Args:
        logits: `[..., N, M]`, as in `sinkhorn`. Known logits with NaN or +inf, or with
            so many -inf that there is no matching, raise ValueError. Where only a graph
            knows them, NaN and +inf give NaN, and all of these -1 in lists.
        temperature: Positive number, or tensor that broadcasts against the batch
            dimensions.
        noise_scale: Number or tensor >= 0 that broadcasts likewise.
        n_iters: Python int >= 0.
        row_mask, col_mask: bool `[..., N]` and `[..., M]`, or None, as in `sinkhorn`.

    Example:
        >>> logits = tf.constant([[2.0, 0.0], [0.0, 2.0]])
        >>> distribution = st.distributions.GumbelSinkhorn(logits, temperature=0.5)
        >>> distribution.sample(3, seed=0).shape
        TensorShape([3, 2, 2])
        >>> distribution.sample_matching(3, seed=0).shape
        TensorShape([3, 2])
        >>> print(distribution.kl_to_prior(prior_temperature=1.0).numpy().round(2))
        7.61

    Reference:
        Mena et al. (2018), Learning Latent Permutations with Gumbel-Sinkhorn Networks,
        section 5 and appendix.
    """

    temperature: tf.Tensor
    noise_scale: tf.Tensor

    _alternatives: typing.ClassVar[dict[str, str]] = {
        "log_prob": "sample_mixture and kl_to_prior have the KL term of a variational "
        "model, and another distribution, BoltzmannPermutations, exact probabilities",
        "entropy": "sample_mixture and kl_to_prior have the KL term of a variational "
        "model, and another distribution, BoltzmannPermutations, an exact entropy",
        "mean": "average sample(n) over its first axis",
    }

    def __init__(
        self,
        logits: TensorLike,
        temperature: TensorLike = 1.0,
        noise_scale: TensorLike = 1.0,
        n_iters: int = 20,
        *,
        row_mask: TensorLike | None = None,
        col_mask: TensorLike | None = None,
    ) -> None:
        self._n_iters = arguments.to_count(n_iters, "n_iters", 0)
        self._set_arguments(
            logits,
            row_mask,
            col_mask,
            temperature=(temperature, arguments.to_positive),
            noise_scale=(noise_scale, arguments.to_non_negative),
        )

    def event_shape(self) -> tf.TensorShape:
        """The known part of the shape of one sample: `[N, M]`."""
        return self.logits.shape[-2:]

    def sample(
        self, sample_shape: TensorLike = (), seed: int | TensorLike | None = None
    ) -> tf.Tensor:
        """Draws soft permutations.

        Args:
            sample_shape: Int, tuple of ints or int tensor.
            seed: An int, two integers of 32 bits, or None for a fresh draw (eager only).

        Returns:
            `[*sample_shape, *batch_shape, N, M]`, in the dtype of the logits.
        """
        noisy = noisy_logits(self, sample_shape, seed)
        soft = sinkhorn(
            noisy,
            self.temperature,
            self._n_iters,
            row_mask=self.row_mask,
            col_mask=self.col_mask,
        )
        return tf.cast(soft, self.logits.dtype)

    def sample_matching(
        self, sample_shape: TensorLike = (), seed: int | TensorLike | None = None
    ) -> tf.Tensor:
        """Draws hard permutations: the matchings of the noise that `sample` would draw.

        Args:
            sample_shape, seed: As in `sample`; the same seed gives the same noise.

        Returns:
            int32 `[*sample_shape, *batch_shape, N]`.
        """
        return self._match(noisy_logits(self, sample_shape, seed))

    def kl_to_prior(
        self, prior_temperature: TensorLike = 1.0, *, tight: bool = False
    ) -> tf.Tensor:
        r"""The divergence of the Gumbel variables from those of a uniform permutation.

        A sample is a function of the variables :math:`(X + \sigma g) / t`, and one of the
        prior the same function of :math:`\sigma g / t_p`. Processing data brings no
        distributions further apart, so the divergence of the samples, soft or hard, is
        at most that of the variables,

        .. math:: \sum_{ij} -\log r + \gamma (r - 1) + e^{-m_{ij}} \Gamma(r + 1) - 1
            + m_{ij}, \quad r = t_p / t, \quad m_{ij} = X_{ij} t_p / (t \sigma).

        Soft samples are those of the relaxed model: what the evidence lower bound then
        bounds is the evidence of the relaxed model.

        Args:
            prior_temperature: Positive number, or tensor that broadcasts against the
                batch dimensions.
            tight: Whether to take the least divergence over shifts of whole rows and
                columns of the logits. They change no permutation, and no limit of the
                iterations, but they change the divergence: constant logits are as good
                as 0, and only the tight divergence is then the same.

        Returns:
            `[...]`, in nats and in the dtype of the logits, with its gradient. Pairs that
            are masked or forbidden are forbidden in the prior too, and add 0.

        Raises:
            ValueError: If the scale of the noise is known to be 0, where the divergence
                is infinite.

        Example:
            >>> distribution = st.distributions.GumbelSinkhorn(tf.fill([3, 3], -3.0))
            >>> print(distribution.kl_to_prior().numpy().round(1))
            144.8
            >>> tight = distribution.kl_to_prior(tight=True)
            >>> print(abs(tight.numpy().round(1)))
            0.0
        """
        tight = arguments.to_bool(tight, "tight")
        dtype = arguments.compute_dtype(self.logits.dtype)
        prior = arguments.to_positive(
            prior_temperature, "prior_temperature", dtype, self.batch_shape()
        )
        scale = known_array(self.noise_scale, self.noise_scale)
        if scale is not None and (scale == 0).any():
            raise ValueError(
                "noise_scale must be positive for kl_to_prior, since logits without "
                "noise have an infinite divergence. Received: noise_scale=0"
            )
        divergence = gumbel_kl_to_prior(
            tf.cast(self.logits, dtype),
            self.temperature,
            self.noise_scale,
            prior,
            self._allowed_pairs(),
            tight,
        )
        return tf.cast(divergence, self.logits.dtype)

    def sample_mixture(
        self, n_samples: int, seed: int | TensorLike | None = None
    ) -> MixtureSample:
        r"""Draws hard permutations with a divergence that is far tighter.

        Given the noise, a hard permutation is drawn from the Boltzmann distribution of the
        noisy logits at the temperature t, instead of their matching. So the permutations
        have a density, the mixture of the Boltzmann distributions over the noise, and the
        divergence from uniform permutations can be estimated:

        .. math:: \log N! + E \log \frac 1 K \sum_k p(P_l \mid g_k).

        With K samples it is an upper bound on average, which becomes exact as K grows
        (Yin and Zhou 2018). With it the evidence lower bound is that of the model with
        hard permutations, not of a relaxed one. `sample_matching` gives permutations
        close to these at a temperature below the scale of the noise.

        Args:
            n_samples: Python int >= 2, the number of samples K: 100 is a good number. The
                memory grows with its square: K x K numbers for each example.
            seed: As in `sample`.

        Returns:
            A `MixtureSample`.

        Raises:
            TypeError, ValueError: If an argument is out of range, or if there are too many
                items for the exact sums of `BoltzmannPermutations`.

        Example:
            >>> distribution = st.distributions.GumbelSinkhorn(4 * tf.eye(3), 0.5)
            >>> mixture = distribution.sample_mixture(100, seed=0)
            >>> mixture.plans.shape
            TensorShape([100, 3, 3])
            >>> print(mixture.divergence < distribution.kl_to_prior(tight=True))
            tf.Tensor(True, shape=(), dtype=bool)

        Reference:
            Yin and Zhou (2018), Semi-implicit variational inference.
        """
        n_samples = arguments.to_count(n_samples, "n_samples", 2)
        check_size(self.logits, "sample_mixture", "kl_to_prior bounds it for any size")
        seed = to_seed(seed)
        return draw_mixture(
            noisy_logits(self, n_samples, seed),
            self.temperature,
            self.row_mask,
            self.col_mask,
            seed,
            self.logits.dtype,
        )


def noisy_logits(distribution, sample_shape, seed):
    """Logits with Gumbel noise of the distribution's scale: `[*samples, *batch, N, M]`."""
    return distribution_noise(distribution, sample_shape, seed)[0]


def distribution_noise(distribution, sample_shape, seed):
    """`noisy_logits`, and the standard Gumbel noise in them."""
    logits = distribution.logits
    dtype = arguments.compute_dtype(logits.dtype)
    shape, known = distribution._to_sample_shape(sample_shape)
    noise = gumbel_noise(tf.concat([shape, tf.shape(logits)], 0), seed, dtype)
    noise.set_shape(known.concatenate(logits.shape))
    scale = distribution.noise_scale
    scale = scale if scale.shape.rank == 0 else scale[..., None, None]
    return tf.cast(logits, dtype) + scale * noise, noise
