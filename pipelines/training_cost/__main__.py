"""Time and memory of training as images, N, batch and workers grow.

    python -m pipelines.training_cost              # a quarter of an hour
    python -m pipelines.training_cost --quick

Each case is a training in one process, or in as many as it has workers, each on a core
of its own if there are enough. The cases of a group run at the same time but take turns,
a burst of steps each, `--repeats` times. The program reports medians, and ratios of
processor time to the first case of the group, which background load changes little. Of
several workers the slowest counts. The program leaves `scaling.json` in the run
directory, and computes the time that all of ImageNet would take.
"""

from absl import flags

from pipelines.shared import program
from pipelines.training_cost.config import TrainingCostConfig


def main(config, explicit_names=frozenset()):
    """Measures and prints.

    Args:
        config: `TrainingCostConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.training_cost import study

    study.run(config.completed(explicit_names))


if __name__ == "__main__":
    program.run(main, TrainingCostConfig(), flags.FLAGS)
