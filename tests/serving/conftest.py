import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from pipelines.benchmark.peers import c_api
from tests.serving.runner import LIBRARIES, SAVED

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def loopback(tmp_path_factory):
    """A stand-in of the server: its ports `grpc` and `rest`, and its `process`."""
    with started(tmp_path_factory.mktemp("loopback")) as server:
        yield server


@pytest.fixture(scope="session")
def steady_loopback(tmp_path_factory):
    """One whose memory would show a leak.

    oneDNN keeps compiled kernels of the last 1,024 shapes, the C library memory for each
    thread: both look like a leak, and hide one.
    """
    steady = {"TF_ENABLE_ONEDNN_OPTS": "0", "MALLOC_ARENA_MAX": "1"}
    with started(tmp_path_factory.mktemp("steady"), **steady) as server:
        yield server


@contextlib.contextmanager
def started(folder, **environment):
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    places = [f"{path.name}={path}" for path in SAVED.iterdir()]
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, HERE / "loopback.py", LIBRARIES, c_api.__file__, *places],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        )
    with process, contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        line = process.stdout.readline()
        assert line, errors.read_text()
        yield {**json.loads(line), "process": process}
