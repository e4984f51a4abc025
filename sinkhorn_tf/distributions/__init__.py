"""Random permutations, soft and hard: noise, distributions, divergences, rounding."""

from sinkhorn_tf.distributions._boltzmann import BoltzmannPermutations
from sinkhorn_tf.distributions._gumbel_matching import GumbelMatching
from sinkhorn_tf.distributions._gumbel_sinkhorn import (
    gumbel_sinkhorn,
    perturbed_sinkhorn,
)
from sinkhorn_tf.distributions._gumbel_sinkhorn_distribution import GumbelSinkhorn
from sinkhorn_tf.distributions._mixture import MixtureSample
from sinkhorn_tf.distributions._rounding import round_to_doubly_stochastic
from sinkhorn_tf.distributions.noise import gumbel_noise

__all__ = [
    "BoltzmannPermutations",
    "GumbelMatching",
    "GumbelSinkhorn",
    "MixtureSample",
    "gumbel_noise",
    "gumbel_sinkhorn",
    "perturbed_sinkhorn",
    "round_to_doubly_stochastic",
]
