"""Searches for better settings of a pipeline's training, with Keras Tuner.

    python -m pipelines.tune                             # jigsaw, the embedded digits
    python -m pipelines.tune --pipeline=jigsaw --flagfile=configs/NAME.cfg \
        --trial_steps=300 --space=learning_rate,n_iters,filters=32|64
    python -m pipelines.tune --pipeline=sorting --tuner=bayesian --trials=30
    python -m pipelines.tune ... --workdir=WORKDIR --resume

All flags of the pipeline are taken; the first trial is of the settings as they are given.
A trial is a training of the pipeline with other values of some flags, its score the best
validation during it: on the data that weights are chosen on, never on what is reported.
Of equal scores the earlier trial counts as the better one. Leaves in the run directory
`best.cfg`, the best settings for `--flagfile`, `trials.json` and the picture `trials.png`.

Several processes share the trials if each has Keras Tuner's variables:
KERASTUNER_TUNER_ID (`chief` for the one that only gives them out, others as you like),
KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT, the chief's address.
"""

import sys

from absl import flags

from pipelines.shared import program
from pipelines.shared.errors import UserError
from pipelines.tune.config import defaults


def main(config, explicit_names=frozenset()):
    """Searches.

    Args:
        config: `TuneConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.tune import study

    study.run(config, explicit_names)


if __name__ == "__main__":
    try:
        settings = defaults(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
    program.run(main, settings, flags.FLAGS)
