"""Training on several devices or in several processes, as `--distribute` says.

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

from pipelines.shared import child_process, options
from pipelines.shared.errors import UserError

# While TensorFlow waits for the other workers, it holds Python's lock and heeds no signal
# but SIGKILL: another process keeps the time, and ends when its stdin is closed.
_WATCH = "pipelines.shared.training._watch"


def join(config):
    """The strategy of a training; joins the other workers if there are any.

    TensorFlow can join a cluster only before it does anything else.

    Args:
        config: `Options` with the settings of a `TrainingConfig`.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        UserError: If `TF_CONFIG` describes no cluster, or the settings ask for
            something that a single process does.
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
    """The `tf.distribute.Strategy` of `--distribute`, the same one at each call."""
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU")
        devices = devices or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multiworker":
        return _multiworker(startup_timeout)
    return tf.distribute.get_strategy()


def is_chief(strategy):
    """Whether this process writes the results; a process without others does."""
    return strategy.extended.should_checkpoint


def gather_from_processes(strategy, value):
    """Gathers one number from each process, the chief's first.

    Args:
        strategy: A `tf.distribute.Strategy`.
        value: int or float, the number of this process.

    Returns:
        int64 or float64 array with an entry for each replica, the chief's first; those
        of one process are equal. The array has one entry if this is the only process.
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
    digest = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
    digests = gather_from_processes(strategy, digest)
    if (digests != digest).any():
        raise UserError(message)


def addresses(text):
    """The addresses in a `TF_CONFIG`; raises UserError if it describes no cluster."""
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        cluster[task["type"]][int(task["index"])]
        if cluster.keys() - {"chief", "worker"} or len(cluster.get("chief", "-")) != 1:
            raise ValueError
        workers = []
        for job in cluster.values():
            if not isinstance(job, list) or not all(isinstance(x, str) for x in job):
                raise ValueError
            workers += job
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(
            "--distribute=multiworker needs the variable TF_CONFIG, such as "
            '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", '
            '"index": 0}}; its jobs may be worker and chief, which has one task. '
            f"Received: {text!r}"
        ) from error
    return workers


def lost_worker(error):
    """Whether a `tf.errors.OpError` of a worker may mean that another worker ended."""
    reasons = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    return isinstance(error, reasons)


@functools.cache
def _gather(strategy):
    """A function that gathers values, compiled once; TensorFlow would trace each call."""
    return tf.function(lambda values: strategy.gather(values, axis=0), autograph=False)


def _multiworker(timeout):
    """The strategy of this worker; the process is killed if another does not come."""
    workers = addresses(os.environ.get("TF_CONFIG", ""))
    command = [sys.executable, "-m", _WATCH, f"{timeout:g}", f"{os.getpid()}", *workers]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, env=child_process.environment()
    ) as watch:
        try:
            joined = tf.distribute.MultiWorkerMirroredStrategy()
        finally:
            watch.kill()
    # TensorFlow takes SIGTERM for a notice of preemption, and the process would go on.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return joined
