"""Training on several devices or in several processes: what `--distribute` says.

    TF_CONFIG='{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker",
    "index": 0}}' python -m pipelines.jigsaw --distribute=multiworker --workdir=SHARED

Every worker runs the same command, on a run directory that all of them see. One of
them, the chief (the task `chief`, or else worker 0), writes to it, validates and
reports. When a worker ends, the others end too, with one sentence: a supervisor starts
all of them again with `--resume`.
"""

import functools
import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import tensorflow as tf

from pipelines.shared import options
from pipelines.shared.errors import UserError

# While it waits for its peers, TensorFlow holds Python's lock and heeds no signal but
# SIGKILL: the time is kept by another process, which ends when its stdin is closed.
_WATCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_watch.py")


def join(config):
    """The strategy of a training; joins the other workers if there are any.

    TensorFlow can join a cluster only before it does anything else.

    Args:
        config: `Options` with the settings of a `TrainingConfig`.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        UserError: If `TF_CONFIG` describes no cluster, or one process does what the
            settings ask for.
    """
    values = options.values(config)
    if values["distribute"] == "multiworker":
        for name in sorted(options.names(config, "replaces_training")):
            if values[name]:
                raise UserError(
                    f"--{name} is for one process. Received: --distribute=multiworker"
                )
    return strategy(values["distribute"], values["startup_timeout"])


def finish(strategy):
    """Waits until the chief has written the results, so that all succeed or none."""
    gather_from_processes(strategy, 0)


@functools.cache
def strategy(name, startup_timeout=600.0):
    """The `tf.distribute.Strategy` of `--distribute`; one for the whole process."""
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU")
        devices = devices or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multiworker":
        return _multiworker(startup_timeout)
    return tf.distribute.get_strategy()


def is_chief(strategy):
    """Whether this process writes the results: always so where there is but one."""
    return strategy.extended.should_checkpoint


def gather_from_processes(strategy, value):
    """Gathers one number from each process, the chief's first.

    Args:
        strategy: A `tf.distribute.Strategy`.
        value: int or float, the number of this process.

    Returns:
        int64 or float64 array, an entry for each replica (those of a process are
        equal), the chief's first; only the one for a strategy of one process.
    """
    dtype = np.int64 if isinstance(value, int) else np.float64
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return np.array([value], dtype)
    values = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant([value], dtype)
    )
    return _gather(strategy)(values).numpy()


def check_same(strategy, text, message):
    """Raises UserError with a message unless a text is the same for every worker."""
    digest = hashlib.sha256(text.encode()).digest()[:7]
    if (
        len(
            set(gather_from_processes(strategy, int.from_bytes(digest, "big")).tolist())
        )
        > 1
    ):
        raise UserError(message)


def addresses(text):
    """The addresses in a `TF_CONFIG`; raises UserError if it describes no cluster."""
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        cluster[task["type"]][int(task["index"])]
        if cluster.keys() - {"chief", "worker"} or len(cluster.get("chief", "-")) != 1:
            raise ValueError
        found = []
        for job in cluster.values():
            if not isinstance(job, list) or not all(isinstance(x, str) for x in job):
                raise ValueError
            found += job
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(
            "--distribute=multiworker needs the variable TF_CONFIG, such as "
            '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", '
            f'"index": 0}}}}, of the jobs worker and chief (one) alone. Received: {text!r}'
        ) from error
    return found


def lost_worker(error):
    """Whether a `tf.errors.OpError` of a worker may say that another one is gone."""
    reasons = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    return isinstance(error, reasons)


@functools.cache
def _gather(strategy):
    """Compiled once: outside of a function TensorFlow traces it at each call."""
    return tf.function(lambda values: strategy.gather(values, axis=0), autograph=False)


def _multiworker(timeout):
    found = addresses(os.environ.get("TF_CONFIG", ""))
    with subprocess.Popen(
        [sys.executable, "-S", _WATCH, f"{timeout:g}", f"{os.getpid()}", *found],
        stdin=subprocess.PIPE,
    ) as watch:
        try:
            joined = tf.distribute.MultiWorkerMirroredStrategy()
        finally:
            watch.kill()
    # TensorFlow heeds SIGTERM only where one asks for what it is for: preemption.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return joined
