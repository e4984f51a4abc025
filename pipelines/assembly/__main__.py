"""Assembly of digits from the loose pieces of any digit (Mena et al. 2018, section 4.3).

    python -m pipelines.assembly                             # embedded digits, 4x4
    python -m pipelines.assembly --flagfile=configs/assembly_mnist.cfg
    python -m pipelines.assembly --dataset=mnist --judge_only
    python -m pipelines.assembly --evaluate=WORKDIR

Trains a network with an output layer for each digit and assembles the pieces of every
test digit as every digit. Judges, classifiers of whole digits, say which of the results they
take for the wanted digit; the network does not learn from them. Leaves in the run directory
`metrics.json`, `assembly.png`, `network.keras` and the SavedModel `solver/1`.
"""

from absl import flags

from pipelines.assembly.config import AssemblyConfig
from pipelines.shared import program


def main(config, explicit_names=frozenset()):
    """Trains, evaluates, or trains the judges alone.

    Args:
        config: `AssemblyConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.assembly import experiment, report
    from pipelines.shared.training import run

    if config.images.evaluate is not None:
        return report.evaluate_run(config, explicit_names)
    config = config.completed()
    config.check(explicit_names)
    if config.judge_only:
        return report.judge_only(config)
    return run.run(
        experiment.AssemblyExperiment,
        config,
        # If there can be no judges, that is known before the training.
        prepare=experiment.AssemblyExperiment.load_judges,
    )


if __name__ == "__main__":
    program.run(main, AssemblyConfig(), flags.FLAGS)
