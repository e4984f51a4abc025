"""Programs in processes of their own, alone or as workers of a cluster."""

import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent

# Seconds after which something is wrong, on however busy a machine.
PATIENCE = 600


@dataclasses.dataclass
class Program:
    """A running process; stdout and stderr together in a file."""

    process: subprocess.Popen
    log: pathlib.Path

    def said(self):
        return self.log.read_text(errors="replace")

    def ended(self):
        """Its exit status."""
        return self.process.wait(PATIENCE)

    def succeeded(self):
        assert self.ended() == 0, self.said()

    def failed(self, sentence):
        """It ended with an error in one sentence, the last line it wrote."""
        assert self.ended() not in (0, None), self.said()
        assert "Traceback" not in self.said()
        assert sentence in self.said().strip().splitlines()[-1], self.said()

    def wait_for(self, path):
        """Waits until it has written a file."""
        self._wait(path.exists)

    def wait_for_line(self, ending):
        """Waits until it has said a line that ends so."""
        self._wait(lambda: f"{ending}\n" in self.said())

    def _wait(self, happened):
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)


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


def tf_config(addresses, index):
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
