"""Sorting numbers (Mena et al. 2018, section 4.1, table 1).

    python -m pipelines.sorting                              # 50 numbers
    python -m pipelines.sorting --flagfile=configs/sorting_n120.cfg
    python -m pipelines.sorting --evaluate=WORKDIR

Trains a network on lists of uniform numbers from [0, 1), measures its hard matchings
on lists from the seven intervals of the table, and leaves in the run directory
`metrics.json`, `sorting.png`, `network.keras` and the SavedModel `solver/1`.
"""

from absl import flags

from pipelines.shared import program
from pipelines.sorting.config import SortingConfig


def main(config, explicit_names=frozenset()):
    """Trains or evaluates.

    Args:
        config: `SortingConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.shared.training import run
    from pipelines.sorting import experiment, report

    if config.evaluate is not None:
        return report.evaluate_run(config)
    return run.run(experiment.SortingExperiment, config)


if __name__ == "__main__":
    program.run(main, SortingConfig(), flags.FLAGS)
