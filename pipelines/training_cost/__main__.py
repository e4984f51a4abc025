"""Time and memory of training as images, N, batch and workers grow.

Each case is a training in one process, or in as many as it has workers, of a core each
where there are enough. The cases of a group run at the same time but take turns, a
burst of steps each, `--repeats` times: what is reported are medians, and ratios of
processor time, which what else the machine does changes little, to the first case of
the group. Where there are several workers, the slowest counts.
"""

import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile

from pipelines import runs
from pipelines.benchmark import machine, projection
from pipelines.errors import UserError


@dataclasses.dataclass(frozen=True)
class Case:
    """A training of random images.

    Attributes:
        group: What grows: "images", "N", "batch" or "workers"; "ImageNet": nothing, the
            row of RESULTS.md that is extended by calculation.
        images, grid, image_size, width, batch_size, workers: Its sizes, the batch over
            all workers.
    """

    group: str
    images: int = 1000
    grid: int = 3
    image_size: int = 48
    width: int = 64
    batch_size: int = 32
    workers: int = 1

    @property
    def grown(self):
        """What it has of what grows in its group."""
        return {
            "images": self.images,
            "N": self.grid**2,
            "workers": self.workers,
        }.get(self.group, self.batch_size)


CASES = (
    *(Case("images", images=count) for count in (1_000, 10_000, 100_000)),
    *(Case("N", grid=grid, image_size=64, batch_size=2) for grid in (2, 4, 8, 16, 32)),
    *(Case("batch", batch_size=size) for size in (8, 32, 128)),
    *(Case("workers", workers=count, batch_size=64) for count in (1, 2)),
    Case("ImageNet", images=10_000, image_size=81, width=128, batch_size=64),
)
QUICK = tuple(
    Case(group, **{"image_size": 6, "batch_size": 2, **sizes})
    for group, sizes in (
        ("batch", {}),
        ("batch", {"batch_size": 4}),
        ("workers", {}),
        ("workers", {"workers": 2}),
    )
)


def main(workdir, repeats, burst, quick):
    """Measures all cases, writes `scaling.json` and prints a table."""
    runs.make_directory(workdir)
    path = os.path.join(workdir, "scaling.json")
    cases, found = QUICK if quick else CASES, []
    for group in dict.fromkeys(case.group for case in cases):
        print(f"growing: {group}", file=sys.stderr, flush=True)
        found += measured([x for x in cases if x.group == group], repeats, burst)
        runs.write_json(
            path,
            {
                "machine": machine.description(),
                "versions": runs.versions(),
                "cases": found,
            },
        )
    print(table(found))
    for case in found:
        if case["group"] == "ImageNet":
            print("\nComputed for all of ImageNet:\n" + projection.table(case))
    print(f"\nResults: {path}")


def measured(cases, repeats, burst):
    """What is measured of the cases of a group, a list of dicts."""
    with tempfile.TemporaryDirectory() as folder:
        trainings = []
        try:
            for case in cases:
                trainings.append(Training(case, folder))
            facts = [training.answer()[0] for training in trainings]
            # Once to warm up, and to know how many steps are a burst.
            steps = [
                max(round(burst / training.steps(2)["seconds"]), 1)
                for training in trainings
            ]
            bursts = [[] for _ in cases]
            for _ in range(repeats):
                for training, count, results in zip(
                    trainings, steps, bursts, strict=True
                ):
                    results.append(training.steps(count))
        finally:
            for training in trainings:
                training.close()
    found = []
    for case, known, results in zip(cases, facts, bursts, strict=True):
        seconds, busy = (
            [result[name] for result in results] for name in ("seconds", "cpu_seconds")
        )
        found.append(
            {
                **dataclasses.asdict(case),
                **known,
                "grown": case.grown,
                "seconds": statistics.median(seconds),
                "seconds_of_bursts": seconds,
                "cpu_seconds": statistics.median(busy),
                "cpu_seconds_of_bursts": busy,
                "memory_mib": results[-1]["memory_mib"],
            }
        )
        found[-1]["ratio"] = found[-1]["cpu_seconds"] / found[0]["cpu_seconds"]
    return found


def table(found):
    """The results as lines of text."""
    heads = (
        ("step", 11),
        ("processor", 12),
        ("ratio", 8),
        ("examples/s", 12),
        ("memory", 11),
    )
    heads += ("parameters", 12), ("forward", 14)
    lines = [f"{'grows':8}{'to':>9}" + "".join(f"{x:>{width}}" for x, width in heads)]
    for x in found:
        lines.append(
            f"{x['group']:8}{x['grown']:9,}{x['seconds'] * 1e3:8,.1f} ms"
            f"{x['cpu_seconds'] * 1e3:9,.1f} ms{x['ratio']:8.2f}"
            f"{x['batch_size'] / x['seconds']:12,.0f}"
            f"{x['memory_mib']:7,.0f} MiB{x['parameters']:12,}"
            f"{x['forward_flops'] / 1e6:8,.1f} MFLOP"
        )
    return "\n".join(lines)


class Training:
    """The processes of a case, at work only while they are asked."""

    def __init__(self, case, folder):
        addresses = [f"localhost:{port}" for port in _free_ports(case.workers)]
        cores = sorted(os.sched_getaffinity(0))
        command = [
            *(sys.executable, "-m", "pipelines.benchmark.scaling_worker"),
            f"{case.images}",
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
                    env=os.environ | {"TF_CONFIG": json.dumps(config)},
                )
            # From its first import on, so that TensorFlow counts this core alone.
            os.sched_setaffinity(process.pid, {cores[-1 - index % len(cores)]})
            self._processes.append(process)

    def steps(self, count):
        """Takes a number of steps; the slowest worker counts, as it does for all."""
        for process in self._processes:
            process.stdin.write(f"{count}\n".encode())
            process.stdin.flush()
        answers = self.answer()
        return {name: max(x[name] for x in answers) for name in answers[0]}

    def answer(self):
        """The next answer of each worker."""
        found = []
        for process, errors in zip(self._processes, self._errors, strict=True):
            line = process.stdout.readline()
            if not line:
                with open(errors, encoding="utf-8", errors="replace") as file:
                    said = file.read().strip().splitlines() or [""]
                raise UserError(f"A training to be measured ended: {said[-1]}")
            found.append(json.loads(line))
        return found

    def close(self):
        """Ends the processes."""
        for process in self._processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
