"""Numbered versions of a model, written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable


def write_version(path: str, version: int | None, write: Callable[[str], None]) -> str:
    """Calls `write(directory)` and renames the directory to a version of `path`.

    Args:
        path: Directory of all versions.
        version: Number of the version, or None for the next one.
        write: Fills an empty directory.

    Returns:
        The path of the version.

    Raises:
        FileExistsError: If the version exists.
    """
    is_new = not os.path.exists(path)
    os.makedirs(path, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=".writing-", dir=path)
    try:
        if version is not None:
            refuse_existing(path, version)
        write(temporary)
        # TensorFlow Serving may run as another user.
        os.chmod(temporary, 0o755)
        return _rename_to_version(temporary, path, version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_new and not os.listdir(path):
            os.rmdir(path)


def _rename_to_version(directory, path, version):
    while True:
        number = next_version(path) if version is None else version
        final = os.path.join(path, str(number))
        try:
            # Another version is a directory with files, so that renaming to it fails.
            os.rename(directory, final)
            return final
        except OSError:
            # Another process may have taken the number in the meantime.
            if version is not None or not os.path.exists(final):
                refuse_existing(path, number)
                raise


def next_version(path: str) -> int:
    """The number after the largest version in a directory, 1 without any."""
    names = os.listdir(path) if os.path.isdir(path) else []
    numbers = (int(x) for x in names if x.isascii() and x.isdecimal())
    return max(numbers, default=0) + 1


def refuse_existing(path: str, version: int) -> None:
    """Raises FileExistsError if a directory has this version."""
    final = os.path.join(path, str(version))
    if os.path.exists(final):
        raise FileExistsError(f"A version is never overwritten. Received: {final}")
