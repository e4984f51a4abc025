"""Programs in processes of their own, alone or as workers of a cluster."""

import os
import subprocess
import sys

import pytest

from tests.pipelines.processes import ROOT, Program, free_ports, tf_config


@pytest.fixture
def start(tmp_path):
    """Starts Python with arguments, as `start("-m", "pipelines.jigsaw", "--steps=9")`;
    what still runs at the end of the test is killed."""
    running = []

    def start(*arguments, environment=None, **options):
        log = tmp_path / f"process_{len(running)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                cwd=options.pop("cwd", ROOT),
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    **(environment or {}),
                },
                stdout=file,
                stderr=subprocess.STDOUT,
                **options,
            )
        running.append(process)
        return Program(process, log)

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def start_workers(start):
    """As `start`, two workers of a cluster on loopback: the chief is the first."""

    def start_workers(*arguments):
        addresses = [f"localhost:{port}" for port in free_ports(2)]
        return [
            start(
                *arguments,
                "--distribute=multiworker",
                environment={"TF_CONFIG": tf_config(addresses, index)},
            )
            for index in range(2)
        ]

    return start_workers
