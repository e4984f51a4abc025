"""Measures how far fitted distributions over permutations are from the exact posterior.

    python -m pipelines.latent_matching                 # some minutes
    python -m pipelines.latent_matching --instances=20 --sigmas=0.5 --steps=200
    python -m pipelines.latent_matching --resume        # goes on where it was stopped

The problem is the synthetic matching of Linderman et al. (2018): centres in the plane are
observed in an unknown order, and the posterior over orders is known exactly. The
distance is that of Bhattacharyya, sqrt(1 - sum sqrt(p q)), averaged over instances.
Gumbel-Sinkhorn is fitted by its evidence lower bound, with several bounds of the KL term;
the other approximations are told the logits of the posterior, for reference. A second
table has N from 4 to 12. The program leaves in the run directory `metrics.json`,
`latent_matching.png` and, after each case, `cases.json`.
"""

from absl import flags

from pipelines.latent_matching.config import LatentMatchingConfig
from pipelines.shared import program


def main(config, explicit_names=frozenset()):
    """Fits, measures, prints and draws.

    Args:
        config: `LatentMatchingConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.latent_matching import study

    config.check(explicit_names)
    study.run(config)


if __name__ == "__main__":
    program.run(main, LatentMatchingConfig(), flags.FLAGS)
