"""Files that are written whole or not at all, and JSON."""

import json
import os
import tempfile

from pipelines.shared.errors import UserError


def read_json(path, kind=dict):
    """Reads a JSON file that holds a dict, or a list, or raises UserError."""
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
    """Calls `write(temporary_path)`, then renames it to `path`.

    The temporary name keeps the extension, from which writers tell the format.
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


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
