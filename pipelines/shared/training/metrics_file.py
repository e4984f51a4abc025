"""`metrics.json`: scores, and the settings, versions and machine that they depend on."""

import importlib.metadata
import platform

import sinkhorn_tf
from pipelines.shared import machine
from pipelines.shared.files import write_json

_VERSIONS = ("tensorflow", "keras", "tensorflow-datasets", "numpy")


def versions():
    """The versions of the packages that a result depends on: a dict of names to them."""
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
        evaluation: Seconds of the evaluation.
        training: Seconds of the training, or None if there was none.
    """
    seconds = {"evaluation": evaluation}
    if training is not None:
        seconds["training"] = training
    circumstances = {
        "seconds": seconds,
        "flags": recorded,
        "versions": versions(),
        "processor": machine.processor(),
    }
    write_json(path, scores | circumstances)
