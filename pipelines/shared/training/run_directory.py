"""The directory of a run: how it is made, checked, and resumed."""

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

# The files that a run writes at its end.
_RESULTS = ("network.keras", "metrics.json", "solver/1")
# The folders, beside those of checkpoints, to which a run adds during its training.
_STEPS = ("soft", "logs")


def start(config, default_workdir, identity=None, strategy=None):
    """Makes the run directory, or checks that the run in it can be resumed.

    Only the chief of several workers does so. All of them have to have the same settings.

    Args:
        config: `Options` with the settings `workdir` and `resume`. A run that was
            recorded before a setting existed behaved as the default of the class.
        default_workdir: The run directory where `workdir` is None.
        identity: Dict of the facts that tell the run from others beside its settings.
        strategy: The `tf.distribute.Strategy` of the run, or None for one process.

    Returns:
        The run directory.

    Raises:
        UserError: If the directory holds a run and `resume` is not set, or results of a
            run without its checkpoints; if the settings are not those of that run; or
            if the workers differ in their settings.
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
        if os.path.exists(record):
            # These folders are left over from a run that ended before its checkpoints.
            for name in _STEPS:
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
    """Removes the files that a run was writing when it was killed."""
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
