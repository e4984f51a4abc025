"""The directory of a run: made, checked, and resumed."""

import glob
import json
import os
import shutil
import sys

from pipelines.shared import options
from pipelines.shared.errors import UserError
from pipelines.shared.files import read_json, write_json
from pipelines.shared.training import strategy as strategies
from pipelines.shared.training import trainer

# What a run leaves in the end, and what it leaves step by step beside its checkpoints.
_RESULTS = ("network.keras", "metrics.json", "solver/1")
_STEPS = ("soft", "logs")


def start(config, default_workdir, identity=None, strategy=None):
    """Makes the run directory, or checks that the run in it can be resumed.

    The chief of several workers does so, if all of them were given the same.

    Args:
        config: `Options` with the settings `workdir` and `resume`; its class's
            own defaults are what a run that was recorded before a setting existed did.
        default_workdir: Where the run goes without a `workdir`.
        identity: Dict of what tells the run from others beside its settings.
        strategy: The `tf.distribute.Strategy` of the run, or None for one process.

    Returns:
        The run directory.

    Raises:
        UserError: If the directory holds a run and `resume` is not set, or no more than
            its results, or the settings are not those of that run, or of the other
            workers.
    """
    values = options.values(config) | (identity or {})
    workdir = values["workdir"] or default_workdir
    free = options.names(config, "may_change")
    if strategy is not None:
        fixed = {k: v for k, v in values.items() if k not in free} | {"in": workdir}
        strategies.check_same(
            strategy,
            json.dumps(fixed),
            "The workers were given different flags or images.",
        )
        if not strategy.extended.should_checkpoint:
            return workdir
    record = os.path.join(workdir, "flags.json")
    # Without a checkpoint there is nothing to lose, and nothing to resume.
    if trainer.checkpoints(workdir):
        _check_resumable(workdir, values, free, type(config))
    else:
        _check_empty(workdir)
        make(workdir)
        # A run that ended before its first checkpoint left these.
        for name in _STEPS if os.path.exists(record) else ():
            shutil.rmtree(os.path.join(workdir, name), ignore_errors=True)
        if values["resume"]:
            print(f"no checkpoint in {workdir}: starting anew", file=sys.stderr)
        write_json(record, values)
    _remove_half_written(workdir)
    return workdir


def make(workdir):
    """Makes the run directory, or raises UserError."""
    try:
        os.fspath(workdir).encode()
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


def _check_resumable(workdir, values, free, config_class):
    if not values["resume"]:
        raise UserError(
            f"{workdir} already holds a run: pass --resume to go on with it, or "
            "another --workdir."
        )
    earlier = read_json(os.path.join(workdir, "flags.json"))
    # Runs recorded before a flag existed behaved as its default.
    defaults = options.values(config_class())
    for name, value in values.items():
        before = earlier.get(name, defaults.get(name))
        if name not in free and before != value:
            raise UserError(
                f"--resume needs the flags of the run in {workdir}. Received: "
                f"--{name}={value}, the run has {before}"
            )


def _check_empty(workdir):
    for name in _RESULTS:
        if os.path.exists(os.path.join(workdir, name)):
            raise UserError(
                f"{workdir} holds results of a run without its checkpoints: pass "
                f"another --workdir. Found: {name}"
            )


def _remove_half_written(workdir):
    """Removes what a run that was killed left half-written."""
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
