"""Answers of SavedModels through the C API, in a process without Python's TensorFlow."""

import atexit
import contextlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from pipelines.benchmark.peers import c_api
from pipelines.shared.plain_paths import plain_path
from tests.pipelines.processes import ROOT

# TensorFlow takes a path for a pattern, and a clone may stand in any folder.
_LINKS = contextlib.ExitStack()
atexit.register(_LINKS.close)
SAVED = pathlib.Path(_LINKS.enter_context(plain_path(ROOT / "savedmodels")))
LIBRARIES = os.path.dirname(importlib.util.find_spec("tensorflow").origin)


def run(folder, jobs):
    """Runs `(version directory, signature, inputs)` in one process.

    Returns:
        For each job a dict of arrays, or a pair of code and message if it failed.
    """
    lines, places = [], []
    for number, (model, signature, inputs) in enumerate(jobs):
        inputs_file, outputs_file = (
            folder / f"{name}{number}.npz" for name in ("in", "out")
        )
        np.savez(inputs_file, **inputs)
        places.append(outputs_file)
        job = {"model": model, "signature": signature, "inputs": inputs_file}
        lines.append(
            json.dumps(
                {k: str(v) for k, v in (job | {"outputs": outputs_file}).items()}
            )
        )
    ended = subprocess.run(
        [sys.executable, "-I", c_api.__file__, LIBRARIES],
        input="\n".join(lines),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=pathlib.Path(LIBRARIES).anchor,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(answers) == len(jobs), ended.stderr
    results = []
    for answer, place in zip(answers, places, strict=True):
        if answer["status"]:
            results.append((answer["status"], answer["message"]))
        else:
            with np.load(place) as file:
                results.append(dict(file))
    return results
