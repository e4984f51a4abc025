"""Files that are written whole or not at all, and JSON."""

import fcntl
import json
import os
import pathlib
import tempfile

from pipelines.shared.errors import UserError

# The directory of the project, which holds `pipelines`, `configs` and `savedmodels`.
ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_json(path, kind=dict):
    """Reads a JSON file.

    Args:
        path: Name of the file.
        kind: The type of the value that it holds, `dict` or `list`.

    Raises:
        UserError: If the file cannot be read, or holds a value of another type.
    """
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, kind):
        raise UserError(f"{path} does not hold what it should. Received: {value!r:.80}")
    return value


def write_json(path, value):
    """Writes a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path, text):
    """Writes a text file, whole or not at all."""
    write_whole(path, lambda name: _write(name, text))


def write_whole(path, write):
    """Writes a file under a temporary name, then renames it: nobody sees half a file.

    Args:
        path: Name of the file.
        write: Function that writes a file of the name that it is called with. That name
            ends as `path` does, since writers tell the format from the extension.
    """
    folder, name = os.path.split(path)
    temporary_folder = tempfile.mkdtemp(prefix=".writing-", dir=folder or ".")
    temporary = os.path.join(temporary_folder, name)
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
        os.rmdir(temporary_folder)


def make_once(path, make):
    """Makes a file that is missing; of several processes at once, one makes it.

    Args:
        path: Name of the file. Its folder is made; a lock stands beside it, whose name
            begins with `.lock-`.
        make: Function that makes the file. The others wait for it.
    """
    if os.path.exists(path):
        return
    folder, name = os.path.split(path)
    os.makedirs(folder or ".", exist_ok=True)
    # One lock for each file: what makes one may need another in the same folder.
    lock_path = os.path.join(folder, f".lock-{name}")
    with open(lock_path, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            make()


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
