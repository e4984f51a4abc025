"""`metrics.json`: scores with what they were measured with."""

import importlib.metadata
import platform

import sinkhorn_tf
from pipelines.shared import machine
from pipelines.shared.files import write_json

_VERSIONS = ("tensorflow", "keras", "tensorflow-datasets", "numpy")


def versions():
    """The versions a result was made with."""
    return {
        "sinkhorn_tf": sinkhorn_tf.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _VERSIONS},
    }


def write_metrics(path, scores, recorded, evaluation, training=None):
    """Writes scores with the seconds they took, the settings, versions and processor.

    Args:
        path: File name.
        scores: Dict.
        recorded: Dict of the settings that say what the run is.
        evaluation, training: Seconds; without a training None.
    """
    seconds = {"evaluation": evaluation}
    if training is not None:
        seconds["training"] = training
    more = {
        "seconds": seconds,
        "flags": recorded,
        "versions": versions(),
        "processor": machine.processor(),
    }
    write_json(path, scores | more)
