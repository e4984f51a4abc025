"""A whole run of an experiment: train, measure, report, export."""

import sys

import keras
import tensorflow as tf

from pipelines.shared import options
from pipelines.shared.errors import UserError
from pipelines.shared.training import export, run_directory, strategy
from pipelines.shared.training.trainer import Trainer


def run(make_experiment, config, prepare=None):
    """Trains an experiment, or goes on with the run in its directory, and reports.

    Args:
        make_experiment: Function of the settings to an `Experiment`.
        config: `Options` with the settings of a `TrainingConfig`.
        prepare: Function of the experiment that the chief calls before the training,
            when there is a run directory.

    Raises:
        UserError: If something that the user can mend is wrong.
    """
    # TensorFlow joins other workers only before it does anything else.
    joined = strategy.join(config)
    try:
        seed_everything(config)
        experiment = make_experiment(config)
        train(experiment, joined, prepare)
        strategy.finish(joined)
    except tf.errors.OpError as error:
        if _is_cluster(joined) and strategy.lost_worker(error):
            raise UserError(
                "Another worker ended: start all of them again with --resume."
            ) from error
        raise


def train(experiment, joined, prepare=None):
    """Trains and reports like `run`, for an experiment and a strategy that exist.

    Args:
        experiment: An `Experiment`.
        joined: The `tf.distribute.Strategy`.
        prepare: The same as of `run`.
    """
    text = experiment.describe()
    if text:
        print(text, file=sys.stderr)
    workdir = run_directory.start(
        experiment.config,
        experiment.default_workdir(),
        experiment.identity(),
        joined,
    )
    is_chief = strategy.is_chief(joined)
    if prepare is not None:
        if is_chief:
            prepare(experiment)
        # The training must not depend on whether something was prepared.
        seed_everything(experiment.config)
    trainer = Trainer(experiment, experiment.training, joined, workdir)
    network = trainer.run()
    if not is_chief:
        return
    network = export.keep_network(network, workdir, experiment.training.distribute)
    experiment.report(network, workdir, trainer.seconds)
    if experiment.training.export:
        print(f"SavedModel: {experiment.export(network, workdir)}")


def seed_everything(config):
    """Seeds Python, NumPy and Keras with the seed of a training's settings."""
    keras.utils.set_random_seed(options.values(config)["seed"])


def _is_cluster(joined):
    return isinstance(joined, tf.distribute.MultiWorkerMirroredStrategy)
