"""What every program shares: flags, the run directory, errors in one sentence."""

import glob
import importlib.metadata
import json
import math
import os
import platform
import shutil
import sys

import keras
import tensorflow as tf
from absl import app, flags, logging

import sinkhorn_tf
from pipelines import distribution, machine, service, training
from pipelines.errors import UserError
from pipelines.files import read_json, write_json

_VERSIONS = ("tensorflow", "keras", "tensorflow-datasets", "numpy")

# What a run leaves in the end, and what it leaves step by step beside its checkpoints.
_RESULTS = ("network.keras", "metrics.json", "solver/1")
_STEPS = ("soft", "logs")

# Flags that say where a run is kept and what is done with it, not what it is.
_ELSEWHERE = {
    "workdir",
    "resume",
    "export",
    "data_dir",
    "cache_dir",
    "profile",
    "startup_timeout",
    "data_service",
    "judge",
    "judge_only",
}
# What may differ between a run and its resumption.
_FREE = _ELSEWHERE | {
    "distribute",
    "evaluate",
    "mirrored",
    "split",
    "evaluation_batch_size",
    "judge_steps",
}


def define_training_flags(**defaults):
    """Defines the flags of a training, with a pipeline's own default values.

    A default of None is for the pipeline to replace before the flag is read.
    """

    def number(name, text, lower=0, upper=1e6):
        flags.DEFINE_float(
            name, defaults[name], text, lower_bound=lower, upper_bound=upper
        )

    def last(name, text, lower):
        flags.DEFINE_float(
            f"final_{name}", None, text, lower_bound=lower, upper_bound=1e6
        )

    def count(name, text, lower=1, upper=None):
        flags.DEFINE_integer(
            name, defaults[name], text, lower_bound=lower, upper_bound=upper
        )

    count("steps", "Training steps.")
    count("batch_size", "Examples of a step, over all replicas.")
    number("learning_rate", "Highest rate of Adam; warmed up, then as --schedule.")
    flags.DEFINE_enum(
        "schedule",
        "cosine",
        ["cosine", "constant"],
        "Of the rate: a cosine down to 0, or constant.",
    )
    count("warmup_steps", "Steps until the highest rate is reached.", 0)
    number("averaging", "Decay of the average of the weights; 0: none.", 0, 0.999999)
    number("weight_decay", "Of Adam, relative to the rate (AdamW).", 0, 1e3)
    count("validate_every", "Steps between validations.")
    count("checkpoint_every", "Steps between checkpoints.")
    number("temperature", "Temperature of the Sinkhorn operator.", 1e-6)
    last("temperature", "Temperature at the end, reached geometrically.", 1e-6)
    count("n_iters", "Iterations of the Sinkhorn operator.")
    number("noise_scale", "Scale of the Gumbel noise in training.")
    last("noise_scale", "Its scale at the end, reached geometrically.", 1e-6)
    count("n_samples", "Samples of Gumbel noise for each example.")
    count("seed", "Seed of everything random in training.", 0, 2**32 - 1)
    flags.DEFINE_string("workdir", None, "Directory of the run (default: runs/...).")
    flags.DEFINE_bool("resume", False, "Go on with the run in --workdir.")
    flags.DEFINE_bool("export", True, "Write a SavedModel for TensorFlow Serving.")
    flags.DEFINE_enum(
        "jit_compile",
        defaults["jit_compile"],
        ["step", "operator", "none"],
        "What XLA compiles in training: the whole step (on one device; the operator "
        "on several), the Sinkhorn operator, or nothing.",
    )
    flags.DEFINE_enum(
        "distribute",
        "none",
        ["none", "mirrored", "multiworker"],
        "mirrored: all devices of this machine. multiworker: those of all machines that "
        "TF_CONFIG names, each of which runs this command; --workdir is shared.",
    )
    flags.DEFINE_float(
        "startup_timeout",
        600.0,
        "Seconds to wait for the other workers, and for what --data_service owes.",
        1,
        1e6,
    )
    flags.DEFINE_string(
        "data_service",
        None,
        "grpc://host:port of a dispatcher (python -m pipelines.data_service), whose "
        "workers make the batches: the same, in the same order as without, resumed as "
        "without, each example once an epoch. If one of its workers ends, its batches "
        "are lost: the training ends too, with an error, and goes on with --resume. "
        "Its workers read images in --cache_dir; without, up to 1 GiB is sent.",
    )


def training_options():
    """What the training flags say to `training.Training`, a dict."""
    names = (
        "steps",
        "batch_size",
        "learning_rate",
        "schedule",
        "warmup_steps",
        "averaging",
        "weight_decay",
        "validate_every",
        "checkpoint_every",
    )
    return {
        **{name: flags.FLAGS[name].value for name in names},
        "strategy": distribution.strategy(flags.FLAGS.distribute),
        "jit_compile": flags.FLAGS.jit_compile == "step",
    }


def data_service():
    """The `service.Service` of `--data_service`, or None."""
    address = flags.FLAGS.data_service
    return address and service.Service(address, flags.FLAGS.startup_timeout)


def start(values, default_workdir):
    """Seeds everything and makes the run directory, or checks that it can be resumed.

    Of several workers the chief does, if all of them were given the same.

    Args:
        values: Dict of the flags that describe the run.
        default_workdir: Where the run goes without `--workdir`.

    Returns:
        The run directory.

    Raises:
        UserError: If the directory holds a run and `--resume` is not given, or no more
            than its results, or the flags are not those of that run, or of the other
            workers.
    """
    workdir = values["workdir"] or default_workdir
    keras.utils.set_random_seed(values["seed"])
    if "distribute" in values:
        what = {k: v for k, v in values.items() if k not in _FREE} | {"in": workdir}
        distribution.check_same(
            distribution.strategy(values["distribute"]),
            json.dumps(what),
            "The workers were given different flags or images.",
        )
        if not distribution.is_chief():
            return workdir
    record = os.path.join(workdir, "flags.json")
    # Without a checkpoint there is nothing to lose, and nothing to resume.
    if training.checkpoints(workdir):
        if not values["resume"]:
            raise UserError(
                f"{workdir} already holds a run: pass --resume to go on with it, or "
                "another --workdir."
            )
        earlier = read_json(record)
        for name, value in values.items():
            # A run of before there was the flag did what is its default now.
            default = flags.FLAGS[name].default if name in flags.FLAGS else None
            before = earlier.get(name, default)
            if name not in _FREE and before != value:
                raise UserError(
                    f"--resume needs the flags of the run in {workdir}. Received: "
                    f"--{name}={value}, the run has {before}"
                )
    else:
        for name in _RESULTS:
            if os.path.exists(os.path.join(workdir, name)):
                raise UserError(
                    f"{workdir} holds results of a run without its checkpoints: pass "
                    f"another --workdir. Found: {name}"
                )
        make_directory(workdir)
        # Of a run that ended before its first checkpoint.
        for name in _STEPS if os.path.exists(record) else ():
            shutil.rmtree(os.path.join(workdir, name), ignore_errors=True)
        if values["resume"]:
            print(f"no checkpoint in {workdir}: starting anew", file=sys.stderr)
        write_json(record, values)
    # What a kill left half-written.
    for pattern in (
        ".writing-*",
        "solver/.writing-*",
        "checkpoints/*_temp",
        "checkpoints/.writing-*",
        "best/*_temp",
        "best/.writing-*",
    ):
        for stale in glob.glob(os.path.join(glob.escape(workdir), pattern)):
            shutil.rmtree(stale, ignore_errors=True)
    return workdir


def make_directory(workdir):
    """Makes the run directory, or raises UserError."""
    try:
        workdir.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            "TensorFlow writes only where the path is valid UTF-8: give another "
            f"--workdir. Received: {os.fsencode(workdir)!r}"
        ) from error
    try:
        os.makedirs(workdir, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The run directory cannot be made: {error.strerror}. "
            f"Received: --workdir={workdir}"
        ) from error


def key_flags(*modules):
    """The values of the flags that these modules define, a dict."""
    values = {}
    for module in modules:
        for flag in flags.FLAGS.get_flags_for_module(module):
            values[flag.name] = flag.value
    return dict(sorted(values.items()))


def settings(values):
    """The flags that say what a run is, for its metrics: no path of a machine."""
    return {name: value for name, value in values.items() if name not in _ELSEWHERE}


def versions():
    """The versions a result was made with."""
    return {
        "sinkhorn_tf": sinkhorn_tf.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _VERSIONS},
    }


def write_metrics(path, scores, values, evaluation, training=None):
    """Writes scores with the seconds they took, the flags, the versions, the processor.

    Args:
        path: File name.
        scores: Dict.
        values: Dict of the flags of the run.
        evaluation, training: Seconds; without a training None.
    """
    seconds = {"evaluation": evaluation}
    if training is not None:
        seconds["training"] = training
    more = {
        "seconds": seconds,
        "flags": settings(values),
        "versions": versions(),
        "processor": machine.processor(),
    }
    write_json(path, scores | more)


def main(program):
    """Runs a program; what the user can mend ends with one sentence on stderr."""

    def guarded(arguments):
        _print_any_name()
        if len(arguments) > 1:
            _fail(f"Unexpected arguments: {' '.join(arguments[1:])}")
        logging.set_verbosity(logging.WARNING)
        for name in flags.FLAGS:
            value = flags.FLAGS[name].value
            # NaN passes every bound.
            if isinstance(value, float) and not math.isfinite(value):
                _fail(f"A flag must be finite. Received: --{name}={value}")
        # On a GPU too: a CPU's results, and where neighbours differ in the fourth digit
        # TensorFloat-32 makes them equal.
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            distribution.start()
            program()
            distribution.finish()
        except UserError as error:
            _fail(error)
        except KeyboardInterrupt:
            _fail("Interrupted. A training goes on from its last checkpoint: --resume.")
        except tf.errors.OpError as error:
            if distribution.lost_worker(error):
                _fail("Another worker ended: start all of them again with --resume.")
            # Raised where batches are made, it comes wrapped.
            _, ours, sentence = error.message.partition("UserError: ")
            if ours:
                _fail(sentence.splitlines()[0])
            _fail(f"{type(error).__name__}: {error.message.splitlines()[0]}")
        except OSError as error:
            _fail(error)

    app.run(guarded)


def _print_any_name():
    """A name that the terminal's encoding lacks is shown escaped; it is no error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)
