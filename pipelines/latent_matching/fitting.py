"""Fits of Gumbel-Sinkhorn to latent matchings, by evidence lower bounds.

The bounds differ in their divergence from the uniform prior; each is a function of the
log-likelihoods of pairs, `[count, n, n]`, the logits, of the same shape, a seed, int32
`[2]`, and the `LatentMatchingConfig`, to nats `[count]`.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.latent_matching import problems


class Fit(NamedTuple):
    """The result of a fit.

    Attributes:
        logits: float32 `[count, n, n]`.
        bound: float64 `[count]`, the bound in nats, the mean of the last tenth of the steps.
            The constant of the Gaussian density is left out.
    """

    logits: np.ndarray
    bound: np.ndarray


def closed_form(scores, logits, seed, config):
    """Soft permutations, and the divergence of the Gumbel variables in closed form."""
    return _relaxed(scores, logits, seed, config, tight=False)


def tight(scores, logits, seed, config):
    """The same with the least divergence over shifts of rows and columns."""
    return _relaxed(scores, logits, seed, config, tight=True)


def mixture(scores, logits, seed, config):
    """Hard permutations of a mixture, and its divergence, estimated by samples."""
    distribution = st.distributions.GumbelSinkhorn(logits, config.temperature)
    sample = distribution.sample_mixture(config.mixture_samples, seed)
    return _expected(scores, sample.plans) - sample.divergence


def enumerated(scores, logits, seed, config):
    """The divergence of the same mixture by enumeration of all n! permutations."""
    n = logits.shape[-1]
    lists = tf.reshape(st.permutations.to_matrix(problems.permutations(n)), [-1, n * n])
    shape = (config.mixture_samples, *logits.shape)
    noisy = logits + st.distributions.gumbel_noise(shape, seed)
    noisy = tf.reshape(noisy, [*shape[:2], n * n]) / config.temperature
    each = tf.nn.softmax(tf.matmul(noisy, lists, transpose_b=True))
    shares = tf.reduce_mean(each, 0)
    values = tf.matmul(tf.reshape(scores, [-1, n * n]), lists, transpose_b=True)
    entropy = -tf.reduce_sum(tf.math.xlogy(shares, shares), -1)
    return tf.reduce_sum(shares * values, -1) + entropy - math.lgamma(n + 1)


BOUNDS = {
    "closed_form": closed_form,
    "tight": tight,
    "mixture": mixture,
    "enumerated": enumerated,
}


def _relaxed(scores, logits, seed, config, tight):
    distribution = st.distributions.GumbelSinkhorn(logits, config.temperature)
    soft = distribution.sample(config.samples_of_step, seed)
    # The prior of the same temperature has the same scale of noise.
    return _expected(scores, soft) - distribution.kl_to_prior(
        config.temperature, tight=tight
    )


def _expected(scores, plans):
    """The mean log-likelihood of plans `[samples, count, n, n]`: `[count]`."""
    return tf.reduce_mean(tf.reduce_sum(plans * scores, [2, 3]), 0)


def fit(scores, bound, config, progress=None):
    """Maximises a bound, from random logits.

    Args:
        scores: float32 `[count, n, n]`, log-likelihoods of pairs.
        bound: One of `BOUNDS`.
        config: `LatentMatchingConfig`.
        progress: Function of a step and the mean bound, called now and then; or None.

    Returns:
        The `Fit`.
    """
    scores = tf.constant(scores)
    start = tf.random.stateless_normal(scores.shape, [config.seed, 1], stddev=0.1)
    logits = tf.Variable(start)
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build([logits])

    # XLA takes half as long for the many small ops of these sizes.
    @tf.function(jit_compile=True)
    def differentiate(step):
        with tf.GradientTape() as tape:
            value = bound(scores, logits, tf.stack([config.seed, step]), config)
        return value, tape.gradient(value, logits)

    last = max(1, config.steps // 10)
    total = np.zeros(len(scores))
    for step in range(config.steps):
        value, gradient = differentiate(tf.constant(step))
        optimizer.apply_gradients([(-gradient, logits)])
        if step >= config.steps - last:
            total += value.numpy()
        if progress is not None and (step + 1) % 100 == 0:
            progress(step + 1, float(tf.reduce_mean(value)))
    return Fit(logits.numpy(), total / last)
