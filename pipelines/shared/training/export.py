"""The files of a network that a run leaves: a Keras file, and a SavedModel."""

import importlib.util
import os

import keras
import tensorflow as tf

import sinkhorn_tf as st
from pipelines.shared.errors import UserError
from pipelines.shared.files import write_whole


def keep_network(network, workdir, distribute="none"):
    """Writes `network.keras`.

    Args:
        network: The Keras model.
        workdir: The run directory.
        distribute: The value of `--distribute` in its training.

    Returns:
        The network for one device. A network on several devices is read again from the
        file.
    """
    write_whole(os.path.join(workdir, "network.keras"), network.save)
    return network if distribute == "none" else load_network(workdir)


def load_network(workdir):
    """The network of a finished run, or raises UserError."""
    path = os.path.join(workdir, "network.keras")
    if not os.path.exists(path):
        raise UserError(f"No finished run here. Received: --evaluate={workdir}")
    try:
        return keras.saving.load_model(path)
    # A spoiled file raises exceptions of zip, of JSON, of Keras.
    except Exception as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}).") from error


def export(network, workdir, config, signatures=None):
    """Writes the SavedModel of a run, `solver/1`, with its metrics in it.

    Args:
        network: The model that `st.export_solver` takes.
        workdir: The run directory, which has `metrics.json`.
        config: `TrainingConfig`, for the temperature and the iterations of its plans.
        signatures: Further signatures, an argument of `st.export_solver`.

    Returns:
        The path of the SavedModel. A finished run that is resumed keeps the one it has.
        It has warm-up requests where tensorflow-serving-api is installed.
    """
    path = os.path.join(workdir, "solver")
    if os.path.exists(os.path.join(path, "1")):
        return os.path.join(path, "1")
    with open(os.path.join(workdir, "metrics.json"), encoding="utf-8") as file:
        metrics = file.read()
    return st.export_solver(
        network,
        path,
        temperature=config.last_temperature,
        n_iters=config.n_iters,
        signatures=signatures,
        assets_extra={"metrics.json": metrics},
        warmup_examples=_blank_requests(network, signatures or {}),
        version=1,
    )


def _blank_requests(network, signatures):
    """A request of one example for each signature of a solver.

    The requests are zero: no data leaves with a model, and equal scores need the longest
    search of the matching.

    Returns:
        Dict of a signature's name to its inputs; None without tensorflow-serving-api.
    """
    if importlib.util.find_spec("tensorflow_serving") is None:
        return None
    logits = tf.TensorSpec(network.outputs[0].shape, name="logits")
    temperature = tf.TensorSpec([None], name="temperature")
    inputs = {
        "serving_default": network.inputs,
        "match": [logits],
        "match_at_temperature": [logits, temperature],
        **{name: [spec] for name, (_, spec) in signatures.items()},
    }
    return {
        name: {x.name: tf.zeros([1, *x.shape[1:]], x.dtype) for x in specs}
        for name, specs in inputs.items()
    }
