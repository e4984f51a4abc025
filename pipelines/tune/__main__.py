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

import importlib
import os
import shlex
import sys

import keras
import tensorflow as tf
from absl import flags

from pipelines import files, runs, training
from pipelines.errors import UserError
from pipelines.tune import outcome, space

FLAGS = flags.FLAGS

_PIPELINES = ["jigsaw", "sorting"]

flags.DEFINE_enum("pipeline", "jigsaw", _PIPELINES, "Whose training is searched for.")
flags.DEFINE_enum(
    "tuner",
    "hyperband",
    ["hyperband", "bayesian"],
    "hyperband: many short trials, of which the best are made anew and longer; "
    "bayesian: each trial where a Gaussian process of those before promises most.",
)
flags.DEFINE_list(
    "space",
    [],
    "Settings to search, NAME, NAME=LOW..HIGH or NAME=A|B|C; by default the rate, the "
    "temperature, noise, iterations and widths that the network has.",
)
flags.DEFINE_integer(
    "trial_steps", None, "Steps of the longest trials (default: --steps).", 1
)
flags.DEFINE_integer("trials", 20, "bayesian: number of trials.", 2)
flags.DEFINE_integer(
    "factor", 3, "hyperband: each rung has so many times the steps.", 2
)
flags.DEFINE_integer("rungs", 3, "hyperband: numbers of steps that there are.", 1, 20)

# Flags that may differ between a search and its resumption.
_FREE = {"trials", "pipeline"}
# What a search does not do, by a flag of the pipelines.
_NOT_HERE = ("evaluate", "profile")


def main(pipeline):
    """Searches.

    Args:
        pipeline: The module of `--pipeline`.
    """
    name = FLAGS.pipeline
    complete = getattr(pipeline, "complete_flags", lambda: None)
    check = getattr(pipeline, "check_flags", lambda: None)
    check_flags()
    # Each trial compiles functions of its own, which TensorFlow takes for a mistake.
    tf.get_logger().setLevel("ERROR")
    complete()
    check()
    settings = space.settings(name, FLAGS.space)
    given = space.given(settings)
    if given is None:
        print(
            "The settings as given are not all in --space: the first trial is another.",
            file=sys.stderr,
        )
    search, role = _keras_tuner()
    workdir = FLAGS.workdir or f"runs/tune_{name}"
    data = pipeline.training_data()
    values = described(pipeline, data)
    if role != "worker":
        start(values, workdir)
    tuner = search.Tuner(
        search.oracle(
            FLAGS.tuner,
            settings,
            given,
            seed=FLAGS.seed,
            trials=FLAGS.trials,
            factor=FLAGS.factor,
            rungs=FLAGS.rungs,
        ),
        settings,
        _trainer(pipeline, data, workdir, values, role),
        check,
        workdir=workdir,
        steps=FLAGS.trial_steps or FLAGS.steps,
    )
    search.run(tuner)
    if role == "worker":
        return
    outcome.write(
        tuner.outcome(),
        settings,
        workdir,
        written_flags(pipeline, [setting.name for setting in settings]),
        f"python -m pipelines.{name}",
        files.read_json(record(workdir))["command"],
    )


def check_flags():
    """Raises UserError where flags ask for what a search does not do."""
    for name in _NOT_HERE:
        if name in FLAGS and FLAGS[name].value:
            raise UserError(
                f"A search does not take --{name}. Received: --{name}={FLAGS[name].value}"
            )
    if FLAGS.distribute == "multiworker":
        raise UserError(
            "The workers of a search have a trial each: give them the variables "
            "KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT. "
            f"Received: --distribute={FLAGS.distribute}"
        )
    if FLAGS.tuner == "hyperband":
        if FLAGS["trials"].present:
            raise UserError(
                "--trials is for --tuner=bayesian; of hyperband --factor and --rungs "
                f"say how many there are. Received: --trials={FLAGS.trials}"
            )
        steps = FLAGS.trial_steps or FLAGS.steps
        if steps < FLAGS.factor ** (FLAGS.rungs - 1):
            raise UserError(
                f"The shortest of the trials would have no step with --rungs={FLAGS.rungs}"
                f" and --factor={FLAGS.factor}. Received: --trial_steps={steps}"
            )


def described(pipeline, data):
    """What says what a search is, a dict: flags, and what tells the images from others.

    Args:
        pipeline: The module of `--pipeline`.
        data: Its `training_data()`.
    """
    found = settings_of(pipeline) | runs.settings(runs.key_flags(sys.modules[__name__]))
    own = pipeline.run_flags(*data)
    if "training_images" in own:
        found["training_images"] = own["training_images"]
    return found


def settings_of(pipeline):
    """The flags that say what a training of the pipeline is, a dict."""
    modules = [pipeline, runs, getattr(pipeline, "images", runs)]
    return runs.settings(runs.key_flags(*modules))


def record(workdir):
    """The file with the flags of a search."""
    return os.path.join(workdir, "search.json")


def start(values, workdir):
    """Makes the run directory, or checks that its search can be resumed.

    Raises:
        UserError: If the directory holds a search and `--resume` is not given, or the
            flags are not those of that search, or it holds a run.
    """
    if training.checkpoints(workdir):
        raise UserError(f"{workdir} holds a run: give a search another --workdir.")
    if os.path.exists(record(workdir)):
        if not FLAGS.resume:
            raise UserError(
                f"{workdir} already holds a search: pass --resume to go on with it, or "
                "another --workdir."
            )
        check_same(values, workdir)
        return
    runs.make_directory(workdir)
    if FLAGS.resume:
        print(f"no search in {workdir}: starting anew", file=sys.stderr)
    files.write_json(record(workdir), {"flags": values, "command": command()})


def check_same(values, workdir):
    """Raises UserError unless these are the flags of the search in `workdir`."""
    earlier = files.read_json(record(workdir)).get("flags", {})
    for name, value in values.items():
        # A search of before there was the flag did what is its default now.
        default = FLAGS[name].default if name in FLAGS else value
        before = earlier.get(name, default)
        if name not in _FREE and before != value:
            raise UserError(
                f"--resume and workers need the flags of the search in {workdir}. "
                f"Received: --{name}={value}, the search has {before}"
            )


def command():
    """The command of this search, without where it is kept."""
    elsewhere = ("workdir", "resume", "data_dir", "cache_dir")
    given, arguments = [], iter(sys.argv[1:])
    for argument in arguments:
        name, equals, _ = argument.lstrip("-").partition("=")
        if name not in elsewhere:
            given.append(argument)
        elif not equals and not FLAGS[name].boolean:
            # Its value is an argument of its own.
            next(arguments, None)
    return shlex.join(["python", "-m", "pipelines.tune", *given])


def written_flags(pipeline, searched):
    """Lines of the flags that a config has beside those that were searched.

    All that differs from the pipeline's defaults, and where the images are.
    """
    lines = []
    for name in [*settings_of(pipeline), "data_dir"]:
        if name in FLAGS and name not in searched:
            flag = FLAGS[name]
            if flag.value is not None and flag.value != flag.default:
                lines.append(flag.serialize())
    return lines


def _trainer(pipeline, data, workdir, values, role):
    """The function `trial_workdir -> score` of a process, see `search.Tuner`."""
    if role == "chief":
        return None

    def train(trial_workdir):
        if role == "worker" and os.path.exists(record(workdir)):
            check_same(values, workdir)
        own = pipeline.run_flags(*data) | {
            "workdir": trial_workdir,
            "resume": bool(training.checkpoints(trial_workdir)),
        }
        runs.start(own, trial_workdir)
        try:
            trainer = pipeline.make_trainer(*data, trial_workdir)
            trainer.run()
            return trainer.best_score
        finally:
            # Or the networks of all trials would stay in memory.
            keras.backend.clear_session()

    return train


def _keras_tuner():
    """The module `search`, and whether this process is a chief, a worker or alone."""
    try:
        from keras_tuner.src.distribute import utils

        from pipelines.tune import search
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
    if utils.is_chief_oracle():
        return search, "chief"
    return search, "worker" if utils.has_chief_oracle() else "alone"


def _program():
    """The module of `--pipeline`: two of them would define the same flags."""
    early = flags.FlagValues()
    flags.DEFINE_enum("pipeline", "jigsaw", _PIPELINES, "", flag_values=early)
    try:
        early(sys.argv, known_only=True)
    except flags.Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    return importlib.import_module(f"pipelines.{early.pipeline}")


if __name__ == "__main__":
    program = _program()
    flags.adopt_module_key_flags(program)
    runs.main(lambda: main(program))
