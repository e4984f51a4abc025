"""Checkpoints of a training, in files whose names say their steps.

`tf.train.CheckpointManager` takes the path of its directory for a pattern: in `run[1]`
it finds no checkpoint, and deletes those of `run1`. Here every file is known by its name.
"""

import os
import re

import tensorflow as tf

from pipelines.shared.errors import UserError
from pipelines.shared.files import write_text
from pipelines.shared.plain_paths import plain_path

# How many checkpoints a directory keeps.
_NEWEST = 2


class Checkpoints:
    """The checkpoints `ckpt-STEP` of a directory, of which the newest two are kept.

    Args:
        checkpoint: The `tf.train.Checkpoint` of what is saved.
        folder: The directory; it is made with the first checkpoint.
    """

    def __init__(self, checkpoint, folder):
        self._checkpoint = checkpoint
        self._folder = folder

    def save(self, step):
        """Writes the checkpoint of a step, then removes those that are too old.

        Raises:
            UserError: If it cannot be written; the earlier ones are still there.
        """
        os.makedirs(self._folder, exist_ok=True)
        # An index of before would count beside a half-written checkpoint.
        _remove(self._folder, step)
        earlier = [old for old in steps(self._folder) if old < step]
        older, recent = earlier[: 1 - _NEWEST], earlier[1 - _NEWEST :]
        with plain_path(self._folder) as folder:
            try:
                self._checkpoint.write(os.path.join(folder, f"ckpt-{step}"))
            except tf.errors.OpError as error:
                reason = _first_line(error).replace(folder, self._folder)
                raise UserError(
                    f"The checkpoint of step {step} cannot be written; the one before "
                    f"is kept, for --resume. {reason}"
                ) from error
        _write_list(self._folder, [*recent, step])
        for old in older:
            _remove(self._folder, old)

    def restore(self, path):
        """Reads a checkpoint, of this directory or another.

        Args:
            path: As of `paths`.

        Raises:
            Exception: Of any kind, if it cannot be read or has not all that is needed.
        """
        folder, name = os.path.split(path)
        with plain_path(folder) as folder:
            status = self._checkpoint.read(os.path.join(folder, name))
            status.assert_existing_objects_matched()


def steps(folder):
    """The steps of the checkpoints in a directory, ascending.

    By the names of the files: neither clocks nor the list that TensorFlow keeps in a
    file beside them matter. The index is what is written last.
    """
    if not os.path.isdir(folder):
        return []
    matches = [re.fullmatch(r"ckpt-(\d+)\.index", name) for name in os.listdir(folder)]
    return sorted(int(match[1]) for match in matches if match)


def paths(folder):
    """The checkpoints in a directory, oldest first: paths without an extension."""
    return [os.path.join(folder, f"ckpt-{step}") for step in steps(folder)]


def _remove(folder, step):
    """Removes the files of a checkpoint, its index first: without it none counts."""
    stem = f"ckpt-{step}."
    names = [name for name in os.listdir(folder) if name.startswith(stem)]
    for name in sorted(names, key=lambda name: name != f"{stem}index"):
        os.remove(os.path.join(folder, name))


def _write_list(folder, known):
    """Writes the file from which `tf.train.latest_checkpoint` takes its answer."""
    lines = [f'model_checkpoint_path: "ckpt-{known[-1]}"']
    lines += [f'all_model_checkpoint_paths: "ckpt-{step}"' for step in known]
    write_text(os.path.join(folder, "checkpoint"), "\n".join(lines) + "\n")


def _first_line(error):
    """What an error says, without the names of graph nodes around it."""
    return re.sub(r"\{\{.*?\}\} *| *\[Op:.*", "", error.message.splitlines()[0])
