"""Searches in which a formula takes the place of a training."""

import os

from pipelines.jigsaw.config import JigsawConfig
from pipelines.tune import search, space
from pipelines.tune.config import TuneConfig

SPACE = ("learning_rate=0.001..0.1", "n_iters=5|10|20")
INITIAL = {"learning_rate": 0.05, "n_iters": 5}
STEPS = 90


class Formula:
    """A trial that is best at a rate of 0.01 and 20 iterations, better with more steps.

    Args:
        fails: Function of the number of calls so far; may raise.
        check: Function of the settings of a trial; raises UserError if they do not fit.

    Attributes:
        calls: The trials in the order of the calls.
    """

    def __init__(self, fails=lambda number: None, check=lambda config: None):
        self.calls = []
        self._fails = fails
        self._check = check

    def config(self, changes):
        config = JigsawConfig().replace(**changes)
        self._check(config)
        return config

    def __call__(self, changes, workdir):
        self.calls.append(os.path.basename(workdir))
        os.makedirs(os.path.join(workdir, "checkpoints"), exist_ok=True)
        self._fails(len(self.calls))
        training = JigsawConfig().replace(**changes).training
        rate = abs(training.learning_rate - 0.01) * 10
        return rate + (training.n_iters != 20) + 1 / training.steps


def search_with(
    formula,
    workdir,
    tuner="hyperband",
    seed=0,
    n_trials=4,
    texts=SPACE,
    initial=INITIAL,
):
    """Searches in `workdir`, which may hold a search already.

    Args:
        formula: A `Formula`.
        workdir: The directory.
        tuner: As of `--tuner`.
        seed: Of the training, and so of the search.
        n_trials: Number of trials of the Bayesian search.
        texts: The entries of `--space`.
        initial: The values of the first trial, or None.

    Returns:
        The outcome of the search, a list of dicts.
    """
    program = JigsawConfig().replace(seed=seed)
    config = TuneConfig(
        tuner=tuner, trials=n_trials, factor=3, rungs=3, program=program
    )
    settings = space.settings(program, list(texts))
    tuner = search.Tuner(
        search.oracle(config, settings, initial),
        settings,
        formula,
        workdir=str(workdir),
        steps=STEPS,
        startup_timeout=600,
    )
    search.run(tuner)
    return tuner.outcome()
