"""A search as a whole: its directory, its trials, and its outcome."""

import os
import shlex
import sys

import keras
import tensorflow as tf

from pipelines.jigsaw.experiment import JigsawExperiment
from pipelines.shared import files, options
from pipelines.shared.errors import UserError
from pipelines.shared.training import run as training_run
from pipelines.shared.training import run_directory, strategy
from pipelines.shared.training.trainer import Trainer, checkpoints
from pipelines.sorting.experiment import SortingExperiment
from pipelines.tune import outcome, space

EXPERIMENTS = {"jigsaw": JigsawExperiment, "sorting": SortingExperiment}


def run(config, explicit_names=frozenset()):
    """Searches, alone or as one of several processes.

    Args:
        config: `TuneConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    config = config.completed()
    config.check(explicit_names)
    # TensorFlow would warn that each trial compiles functions of its own.
    tf.get_logger().setLevel("ERROR")
    settings = space.settings(config.program, config.space)
    initial = space.initial_values(config.program, settings)
    if initial is None:
        print(
            "The settings of the command line are not all in --space: the first trial "
            "has others.",
            file=sys.stderr,
        )
    search, role = _keras_tuner()
    workdir = config.program.training.workdir or f"runs/tune_{config.pipeline}"
    experiment = EXPERIMENTS[config.pipeline](config.program)
    identity = options.recorded(config) | experiment.identity()
    if role != "worker":
        start(config, identity, workdir)
    tuner = search.Tuner(
        search.oracle(config, settings, initial),
        settings,
        Trial(experiment, config, identity, workdir, role),
        workdir=workdir,
        steps=config.steps,
        startup_timeout=config.program.training.startup_timeout,
    )
    search.run(tuner)
    if role == "worker":
        return
    outcome.write(
        tuner.outcome(),
        settings,
        workdir,
        written_flags(config.program, [setting.name for setting in settings]),
        f"python -m pipelines.{config.pipeline}",
        files.read_json(record(workdir))["command"],
    )


def record(workdir):
    """The path of the file with the settings of a search."""
    return os.path.join(workdir, "search.json")


def start(config, identity, workdir):
    """Makes the run directory, or checks that its search can be resumed.

    Args:
        config: `TuneConfig`.
        identity: Dict of the settings that identify a search: its flags and the hash of
            its images.
        workdir: The directory.

    Raises:
        UserError: If the directory holds a search and `resume` is not set, or the flags
            are not those of that search, or it holds a run.
    """
    resume = config.program.training.resume
    if checkpoints(workdir):
        raise UserError(f"{workdir} holds a run: give a search another --workdir.")
    if os.path.exists(record(workdir)):
        if not resume:
            raise UserError(
                f"{workdir} already holds a search: pass --resume to go on with it, or "
                "another --workdir."
            )
        check_same(config, identity, workdir)
        return
    run_directory.make(workdir)
    if resume:
        print(f"no search in {workdir}: starting anew", file=sys.stderr)
    files.write_json(record(workdir), {"flags": identity, "command": command(config)})


def check_same(config, identity, workdir):
    """Raises UserError unless the search in a directory has the same settings.

    Args:
        config: `TuneConfig`.
        identity: Dict of the settings that identify the search, see `start`.
        workdir: The directory.
    """
    earlier = files.read_json(record(workdir)).get("flags", {})
    # Searches recorded before a flag existed behaved as its default.
    defaults = options.values(type(config)(program=type(config.program)()))
    free = options.names(config, "may_change")
    for name, value in identity.items():
        before = earlier.get(name, defaults.get(name, value))
        if name not in free and before != value:
            raise UserError(
                f"--resume and workers need the flags of the search in {workdir}. "
                f"Received: --{name}={value}, the search has {before}"
            )


def command(config, arguments=None):
    """The command of this search, without the paths of this machine.

    Args:
        config: `TuneConfig`.
        arguments: The command line; by default that of this process.
    """
    dropped = ("workdir", "resume", "data_dir", "cache_dir")
    entries = options.entries(config)
    words = ["python", "-m", "pipelines.tune"]
    rest = iter(sys.argv[1:] if arguments is None else arguments)
    for argument in rest:
        name, equals, _ = argument.lstrip("-").partition("=")
        if name not in dropped:
            words.append(argument)
        elif not equals and entries[name][0] is not bool:
            # The value of the flag is the next argument.
            next(rest, None)
    return shlex.join(words)


def written_flags(config, searched):
    """Lines of the flags that a config has beside those that were searched.

    Args:
        config: The complete `Options` of the program.
        searched: Names of the settings that were searched.

    Returns:
        List of lines: the flags that differ from the program's defaults, and the place
        of the images.
    """
    values, defaults = options.values(config), options.values(type(config)())
    names = [*options.recorded(config), *(x for x in ["data_dir"] if x in values)]
    chosen = [
        name
        for name in names
        if name not in searched and values[name] not in (None, defaults[name])
    ]
    return options.as_arguments(config, chosen)


class Trial:
    """A training with some settings changed: a function of these to a score.

    Args:
        experiment: The `Experiment` whose images the trials share.
        config: `TuneConfig`.
        identity: Dict of the settings that identify the search, see `start`.
        workdir: The directory of the search.
        role: "alone", "chief" or "worker".
    """

    def __init__(self, experiment, config, identity, workdir, role):
        self._experiment = experiment
        self._config = config
        self._identity = identity
        self._workdir = workdir
        self._role = role

    def config(self, changes):
        """The settings of a trial; raises UserError if they do not fit one another."""
        config = self._experiment.config.replace(**changes)
        config.check()
        return config

    def __call__(self, changes, workdir):
        """Trains in a directory, or goes on with the training there.

        Args:
            changes: Dict of the settings of the trial.
            workdir: Its run directory.

        Returns:
            The best validation, smaller is better.
        """
        if self._role == "worker" and os.path.exists(record(self._workdir)):
            check_same(self._config, self._identity, self._workdir)
        config = self.config(
            {**changes, "workdir": workdir, "resume": bool(checkpoints(workdir))}
        )
        joined = strategy.join(config)
        training_run.seed_everything(config)
        try:
            experiment = self._experiment.variant(config)
            identity = experiment.identity()
            run_directory.start(config, workdir, identity, joined)
            trainer = Trainer(experiment, experiment.training, joined, workdir)
            trainer.run()
            return trainer.best_score
        finally:
            # Else the networks of all trials would stay in memory.
            keras.backend.clear_session()


def _keras_tuner():
    """The module `search`, and the role of this process: chief, worker or alone."""
    try:
        from pipelines.tune import keras_tuner_private, search
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("keras_tuner", "grpc"):
            raise
        raise UserError(
            f"pipelines.tune needs keras-tuner: pip install keras-tuner. {error}"
        ) from error
    variables = {f"KERASTUNER_{x}" for x in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT")}
    missing = sorted(variables - os.environ.keys())
    if 0 < len(missing) < len(variables):
        raise UserError(
            "The chief and the workers of a search need all of Keras Tuner's variables. "
            f"Missing: {', '.join(missing)}"
        )
    return search, keras_tuner_private.role()
