"""Random soft permutations: Gumbel noise and the Gumbel-Sinkhorn distribution."""

from sinkhorn_tf.distributions._gumbel_sinkhorn import (
    gumbel_sinkhorn,
    perturbed_sinkhorn,
)
from sinkhorn_tf.distributions.noise import gumbel_noise

__all__ = ["gumbel_noise", "gumbel_sinkhorn", "perturbed_sinkhorn"]
