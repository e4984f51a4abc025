"""Jigsaw puzzles of images (Mena et al. 2018, section 4.2, table 2).

    python -m pipelines.jigsaw                               # embedded digits, 2x2
    python -m pipelines.jigsaw --dataset=mnist --grid=3
    python -m pipelines.jigsaw --flagfile=configs/NAME.cfg
    python -m pipelines.jigsaw --evaluate=WORKDIR --split=test
    python -m pipelines.jigsaw --flagfile=configs/NAME.cfg --profile

Trains a network to put scrambled pieces back, measures it with hard matchings on
held-out images, and leaves in the run directory `metrics.json`, `puzzles.png`,
`network.keras` and the SavedModel `solver/1`.
"""

from absl import flags

from pipelines.jigsaw.config import JigsawConfig
from pipelines.shared import program


def main(config, explicit_names=frozenset()):
    """Trains, evaluates or profiles.

    Args:
        config: `JigsawConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.jigsaw import experiment, report
    from pipelines.shared.training import run

    if config.images.evaluate is not None:
        return report.evaluate_run(config, explicit_names)
    config.check(explicit_names)
    if config.profile:
        return report.profile(experiment.JigsawExperiment(config))
    return run.run(experiment.JigsawExperiment, config)


if __name__ == "__main__":
    program.run(main, JigsawConfig(), flags.FLAGS)
