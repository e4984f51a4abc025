"""Checkpoints of a training, in files whose names say their steps.

`tf.train.CheckpointManager` takes the path of its directory for a pattern: in `run[1]`
it finds no checkpoint, and deletes those of `run1`. Here files are found by their names.
"""

import os
import re

import tensorflow as tf

from pipelines.shared.errors import UserError, operation_failure
from pipelines.shared.files import write_text
from pipelines.shared.plain_paths import plain_path

# The number of checkpoints that a directory keeps.
_NEWEST = 2


class Checkpoints:
    """The checkpoints `ckpt-STEP` of a directory; the newest two are kept.

    Args:
        checkpoint: The `tf.train.Checkpoint` of the state to save.
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
        # An old index would make a half-written checkpoint of the same step count.
        _remove(self._folder, step)
        earlier = [old for old in steps(self._folder) if old < step]
        older, recent = earlier[: 1 - _NEWEST], earlier[1 - _NEWEST :]
        with plain_path(self._folder) as folder:
            try:
                self._checkpoint.write(os.path.join(folder, f"ckpt-{step}"))
            except tf.errors.OpError as error:
                reason = operation_failure(error).replace(folder, self._folder)
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
            path: One of those that `paths` returns.

        Raises:
            Exception: An exception of any type, if the checkpoint cannot be read or
                lacks a part of the state.
        """
        folder, name = os.path.split(path)
        with plain_path(folder) as folder:
            status = self._checkpoint.read(os.path.join(folder, name))
            status.assert_existing_objects_matched()
            # Without a warning of the counter that `tf.train.CheckpointManager` adds.
            status.expect_partial()


def steps(folder):
    """The steps of the checkpoints in a directory, ascending.

    The names of the index files say them, which TensorFlow writes last. Neither clocks
    nor the list that TensorFlow keeps in another file matter.
    """
    if not os.path.isdir(folder):
        return []
    matches = [re.fullmatch(r"ckpt-(\d+)\.index", name) for name in os.listdir(folder)]
    return sorted(int(match[1]) for match in matches if match)


def paths(folder):
    """The checkpoints in a directory, oldest first: paths without an extension."""
    return [os.path.join(folder, f"ckpt-{step}") for step in steps(folder)]


def _remove(folder, step):
    """Removes the files of a checkpoint, its index first: without it, no other counts."""
    stem = f"ckpt-{step}."
    names = [name for name in os.listdir(folder) if name.startswith(stem)]
    for name in sorted(names, key=lambda name: name != f"{stem}index"):
        os.remove(os.path.join(folder, name))


def _write_list(folder, known):
    """Writes the file that `tf.train.latest_checkpoint` reads."""
    lines = [f'model_checkpoint_path: "ckpt-{known[-1]}"']
    lines += [f'all_model_checkpoint_paths: "ckpt-{step}"' for step in known]
    write_text(os.path.join(folder, "checkpoint"), "\n".join(lines) + "\n")
