"""Measures how far the entropic penalty is from optimal, beside proven bounds.

    python -m pipelines.entropic_gap
    python -m pipelines.entropic_gap --instances=3 --sizes=8 --sizes=16

The suboptimality is measured against eta = 1 / temperature, beside the bounds of Weed
(2018): on the simplex (propositions 2 to 4), on the matrix of theorem 2, on random
assignment problems, and on the logits of the trained networks in `savedmodels`. The
program leaves in the run directory `metrics.json` and `entropic_gap.png`.
"""

from absl import flags

from pipelines.entropic_gap.config import EntropicGapConfig
from pipelines.shared import program


def main(config, explicit_names=frozenset()):
    """Measures, prints and draws.

    Args:
        config: `EntropicGapConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.entropic_gap import study

    study.run(config)


if __name__ == "__main__":
    program.run(main, EntropicGapConfig(), flags.FLAGS)
