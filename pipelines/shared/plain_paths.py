"""Paths without the characters that TensorFlow reads as a pattern.

TensorFlow looks for the variables of a checkpoint or of a SavedModel by a pattern: in a
directory `run[1]` it finds none, or those of its neighbour `run1`.
"""

import contextlib
import os
import re
import tempfile


@contextlib.contextmanager
def plain_path(folder):
    r"""A path of a directory without the special characters of patterns, `*?[]\`.

    Args:
        folder: Path of a directory.

    Yields:
        `folder`; or, where it has such characters, a link to it that lasts as long as
        the context.
    """
    folder = os.fspath(folder)
    if not re.search(r"[*?\[\]\\]", folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(dir=_temporary_directory()) as temporary:
        link = os.path.join(temporary, "linked")
        os.symlink(os.path.abspath(folder), link, target_is_directory=True)
        yield link


def _temporary_directory():
    """The directory of temporary files; /tmp where TMPDIR itself holds a pattern."""
    usual = tempfile.gettempdir()
    return "/tmp" if re.search(r"[*?\[\]\\]", usual) else usual
