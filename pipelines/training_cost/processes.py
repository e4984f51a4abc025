"""The processes of a training that is measured."""

import json
import os
import subprocess
import sys

from pipelines.shared import child_process, network
from pipelines.shared.errors import UserError


class Training:
    """The processes of a case, which work only while they are asked to.

    Args:
        case: A `Case`.
        folder: Directory for the stderr of the processes.
    """

    def __init__(self, case, folder):
        ports = network.free_ports(case.workers)
        addresses = [f"localhost:{port}" for port in ports]
        cores = sorted(os.sched_getaffinity(0))
        command = [
            *(sys.executable, "-m", "pipelines.training_cost.worker"),
            f"{case.images}",
            "--dataset=photos",
            f"--grid={case.grid}",
            f"--image_size={case.image_size}",
            f"--width={case.width}",
            f"--batch_size={case.batch_size}",
            f"--distribute={'multiworker' if case.workers > 1 else 'none'}",
        ]
        self._processes, self._errors = [], []
        for index in range(case.workers):
            task = {"type": "worker", "index": index}
            config = {"cluster": {"worker": addresses}, "task": task}
            path = os.path.join(folder, f"{case.group}_{case.grown}_{index}.log")
            self._errors.append(path)
            with open(path, "wb") as errors:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=child_process.environment(TF_CONFIG=json.dumps(config)),
                )
            # TensorFlow, which is imported later, counts this core alone.
            os.sched_setaffinity(process.pid, {cores[-1 - index % len(cores)]})
            self._processes.append(process)

    def steps(self, count):
        """Takes a number of steps; returns the answer of the slowest worker."""
        for process in self._processes:
            process.stdin.write(f"{count}\n".encode())
            process.stdin.flush()
        answers = self.answer()
        return {name: max(x[name] for x in answers) for name in answers[0]}

    def answer(self):
        """The next answer of each worker, a list of dicts.

        Raises:
            UserError: If one of them ended.
        """
        answers = []
        for process, log in zip(self._processes, self._errors, strict=True):
            line = process.stdout.readline()
            if not line:
                reason = child_process.last_line(log)
                raise UserError(f"A training to be measured ended: {reason}")
            answers.append(json.loads(line))
        return answers

    def close(self):
        """Ends the processes."""
        for process in self._processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
