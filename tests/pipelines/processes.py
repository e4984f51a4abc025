"""Programs in processes of their own, and what they need."""

import dataclasses
import json
import pathlib
import socket
import subprocess
import time

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
