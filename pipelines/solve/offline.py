"""A solver that is a SavedModel in this process."""

import os

import tensorflow as tf

from pipelines.shared.errors import UserError
from pipelines.shared.image_files import shown
from pipelines.shared.plain_paths import plain_path
from pipelines.solve import clients


class Offline:
    """The newest version of a SavedModel, a `clients.Solver`.

    Args:
        path: Directory of a model, or of one version of it.
    """

    def __init__(self, path):
        path = _newest_version(path)
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                "TensorFlow loads models from paths that are UTF-8: rename or copy "
                f"the model. Received: --model={shown(path)}"
            ) from error
        try:
            # Keep a reference: the signature does not own the variables.
            with plain_path(path) as plain:
                self._model = tf.saved_model.load(plain)
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"{path} cannot be read ({type(error).__name__})."
            ) from error
        if clients.SIGNATURE not in self._model.signatures:
            raise clients.no_signature(path)
        self._solve = self._model.signatures[clients.SIGNATURE]
        _, inputs = self._solve.structured_input_signature
        self.shape = tuple(inputs["image"].shape[1:])
        self.n = self._solve.structured_outputs["permutation"].shape[1]

    def solve(self, images):
        """Solves images, see `clients.Solver`."""
        answer = self._solve(image=tf.constant(images, tf.float32))
        return {name: answer[name].numpy() for name in clients.OUTPUTS}


def _newest_version(path):
    """The directory of the newest version of a model, or a path that is a version."""
    if not os.path.isdir(path):
        raise UserError(
            f"No such directory{_did_you_mean(path)}. Received: --model={path}"
        )
    if os.path.exists(os.path.join(path, "saved_model.pb")):
        return path
    versions = _versions(path)
    if not versions:
        raise UserError(
            f"No version of a model there{_did_you_mean(path)}. "
            f"Received: --model={path}"
        )
    return os.path.join(path, str(max(versions)))


def _versions(path):
    """The numbers of the versions of a model; an empty list in any other directory."""
    try:
        names = os.listdir(path)
    except OSError:
        return []
    return [int(name) for name in names if name.isdecimal()]


def _did_you_mean(path):
    """A question that names the models near a path: in a run, or in a directory."""
    run = os.path.normpath(path)
    near = [os.path.join(run, "solver")]
    if not os.path.isdir(run) or os.path.isfile(os.path.join(run, "checkpoint")):
        # The path is a file of the run, or the directory of its checkpoints.
        near.append(os.path.join(os.path.dirname(run), "solver"))
    else:
        near += [os.path.join(run, name) for name in sorted(os.listdir(run))]
    near = [model for model in dict.fromkeys(near) if _versions(model)]
    if near:
        return f" (did you mean {' or '.join(near[:5])}?)"
    if os.path.isfile(os.path.join(run, "flags.json")):
        return " (this run has not exported a solver)"
    return ""
