"""Processes that a program starts: their environment, and their last words."""

import os

from pipelines.shared.files import ROOT


def environment(**variables):
    """The environment of a process that imports this project, wherever it is started.

    Args:
        **variables: Further variables, strings.

    Returns:
        A dict.
    """
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **variables}


def last_line(path):
    """The last line of a log, such as the reason why a process ended."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else ""
