"""The processes of the peers, as their parent sees them: only one works at a time."""

import json
import os
import selectors
import subprocess
import sys
import time

from pipelines.benchmark.peers import PEERS
from pipelines.shared import child_process

# A process that has ended this often is still started again for the next case.
_MAX_ENDS = 2


class Ended(Exception):
    """A worker ended, or gave no answer in time; the message says why."""


class Worker:
    """A process that measures one peer; the first request starts it.

    Args:
        name: A key of `PEERS`.
        folder: The folder of the file with its stderr.
        patience: Seconds to wait for an answer before the process is ended.
    """

    def __init__(self, name, folder, patience):
        self.name = name
        self.label = PEERS[name].label
        self.versions = {}
        self._errors = os.path.join(folder, f"{name}.log")
        self._patience = patience
        self._process = None
        self._has_started = False
        self._ends = 0

    @property
    def is_usable(self):
        """Whether the process has not ended too often."""
        return self._ends <= _MAX_ENDS

    def start(self):
        """Starts the process if it does not run, without waiting for it."""
        if self._process is not None:
            return
        environment = child_process.environment(
            KERAS_BACKEND="tensorflow",
            TF_CPP_MIN_LOG_LEVEL="3",
            # All peers run on the processor, even if one of them could use a GPU.
            CUDA_VISIBLE_DEVICES="-1",
            JAX_PLATFORMS="cpu",
            # POT would import all of these.
            POT_BACKEND_DISABLE_JAX="1",
            POT_BACKEND_DISABLE_TENSORFLOW="1",
            POT_BACKEND_DISABLE_CUPY="1",
        )
        if PEERS[self.name].module != "torch_peers":
            environment["POT_BACKEND_DISABLE_PYTORCH"] = "1"
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.benchmark.worker_process", self.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
            )
        self._has_started = False

    def wait(self):
        """Waits until the process has imported what it needs."""
        self.start()
        if not self._has_started:
            self.versions = self._answer()["versions"]
            self._has_started = True

    def ask(self, **request):
        """The answer to a request, a dict.

        Raises:
            Ended: If there will be none.
        """
        self.wait()
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self._fail()
        return self._answer()

    def close(self):
        """Ends the process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process = None

    def _answer(self):
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + self._patience
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    self._fail(f"no answer within {self._patience:g} s")
                part = os.read(descriptor, 2**20)
                if not part:
                    self._fail()
                line += part
        return json.loads(line)

    def _fail(self, reason=None):
        if reason is None:
            status = self._process.wait()
            last_line = child_process.last_line(self._errors)
            reason = f"the process ended with {status} {last_line}".strip()
        self._ends += 1
        self.close()
        raise Ended(reason)
