"""Mixtures of Boltzmann distributions over noise, and their divergence from uniform."""

from __future__ import annotations

import math
import typing

import tensorflow as tf

from sinkhorn_tf import permutations
from sinkhorn_tf.distributions._boltzmann import (
    BoltzmannPermutations,
    draw_and_score,
)
from sinkhorn_tf.distributions._gumbel_kl import allowed_pairs


class MixtureSample(typing.NamedTuple):
    r"""Hard permutations of a mixture of Boltzmann distributions, and its divergence.

    Attributes:
        plans: `[n_samples, ..., N, M]`, the expected permutation matrix of each noise, in
            the dtype of the logits. The mean of a sum over pairs,
            :math:`\langle P, S \rangle`, is exactly that of the plans, with its gradient.
        perm: int32 `[n_samples, ..., N]`, a permutation of each noise.
        divergence: `[...]`, the divergence from uniform permutations in nats, in the
            dtype of the logits, with its gradient.

    Example:
        >>> distribution = st.distributions.GumbelSinkhorn(tf.zeros([3, 3]))
        >>> plans, perm, divergence = distribution.sample_mixture(100, seed=0)
        >>> print(perm.shape, divergence.shape)
        (100, 3) ()
    """

    plans: tf.Tensor
    perm: tf.Tensor
    divergence: tf.Tensor


def draw_mixture(noisy, temperature, row_mask, col_mask, seed, dtype):
    """Draws a permutation for each noise, and estimates the divergence of the mixture.

    Args:
        noisy: `[K, ..., N, M]`, logits with the noise of each sample.
        temperature: Scalar, or a tensor that broadcasts against the batch dimensions.
        row_mask, col_mask: As in `BoltzmannPermutations`.
        seed: int32 `[2]`, that of the noise.
        dtype: That of the result.

    Returns:
        The `MixtureSample`.
    """
    given = BoltzmannPermutations(
        tf.cast(noisy, tf.float64), temperature, row_mask=row_mask, col_mask=col_mask
    )
    perm, log_partition, plans = draw_and_score(given, _folded(seed))
    n, m = plans.shape[-2:]
    chosen = permutations.to_matrix(perm, tf.float64, n_positions=m)
    allowed = allowed_pairs(given.logits, given.row_mask, given.col_mask)
    # A bad example must not reach the derivatives of what the others share.
    good = tf.math.is_finite(log_partition)
    log_partition = tf.where(good, log_partition, 0)
    scores = tf.where(allowed & good[..., None, None], given.logits, 0)
    scores /= _spread(temperature)
    # The log-probability of each permutation under its own noise, for the derivative.
    own = tf.reduce_sum(chosen * scores, [-2, -1]) - log_partition
    count = tf.shape(perm)[0]
    flat = [count, -1, n * m]
    chosen, scores = (
        tf.transpose(tf.reshape(x, flat), [1, 0, 2]) for x in (chosen, scores)
    )
    of_noises = tf.transpose(tf.reshape(log_partition, flat[:2]))
    # The log-probability of permutation l under noise k: `[B, l, k]`.
    pairs = tf.matmul(chosen, scores, transpose_b=True) - of_noises[:, None]
    samples = tf.cast(count, tf.float64)
    mixture = tf.reduce_logsumexp(pairs, axis=2) - tf.math.log(samples)
    mixture = tf.stop_gradient(tf.reshape(tf.transpose(mixture), tf.shape(own)))
    # The expected derivative of the mixture itself is 0, so that the score is all of it.
    # The mean of the others is a baseline that does not depend on the own permutation.
    others = (tf.reduce_sum(mixture, 0) - mixture) / (samples - 1)
    surrogate = (mixture - others) * (own - tf.stop_gradient(own))
    forbidden = tf.constant(-math.inf, tf.float64)
    uniform = BoltzmannPermutations(
        tf.where(allowed[0], tf.zeros_like(forbidden), forbidden),
        row_mask=row_mask,
        col_mask=col_mask,
    )
    divergence = tf.reduce_mean(mixture + surrogate, 0) + uniform.log_partition()
    divergence = tf.where(tf.reduce_all(good, 0), divergence, math.nan)
    return MixtureSample(tf.cast(plans, dtype), perm, tf.cast(divergence, dtype))


def _spread(temperature):
    temperature = tf.cast(temperature, tf.float64)
    return temperature if temperature.shape.rank == 0 else temperature[..., None, None]


def _folded(seed):
    """A seed for the permutations, other than that of the noise."""
    return tf.random.experimental.stateless_fold_in(seed, 1, alg="philox")
