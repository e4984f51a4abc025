"""Searches for better settings of a training, with Keras Tuner.

    python -m pipelines.tune                             # jigsaw, the embedded digits
    python -m pipelines.tune --pipeline=jigsaw --flagfile=configs/NAME.cfg \
        --trial_steps=300 --space=learning_rate,n_iters,filters=32|64
    python -m pipelines.tune --pipeline=sorting --tuner=bayesian --trials=30
    python -m pipelines.tune ... --workdir=WORKDIR --resume

The search takes all flags of the program that `--pipeline` names. A trial is a training
of that program with other values of some flags; the first trial has the values of the
command line. The score of a trial is its best validation: on the data that weights are
chosen on, never on those that are reported. If scores are equal, the earlier trial counts
as the better one. The search leaves in the run directory `best.cfg`, the best settings
for `--flagfile`, `trials.json` and the picture `trials.png`.

Several processes share the trials if each has Keras Tuner's variables:
KERASTUNER_TUNER_ID (`chief` for the process that only hands them out, any other name for
the others), KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT, the address of the chief.
"""

import sys

from absl import flags

from pipelines.shared import program
from pipelines.shared.errors import UserError
from pipelines.tune.config import defaults


def main(config, explicit_names=frozenset()):
    """Searches for better settings of a training.

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
