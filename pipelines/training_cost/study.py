"""The study of the cost of a training: groups of cases that take turns."""

import dataclasses
import os
import statistics
import sys
import tempfile

from pipelines.shared import machine
from pipelines.shared.files import write_json
from pipelines.shared.training import metrics_file, run_directory
from pipelines.training_cost import projection
from pipelines.training_cost.cases import CASES, QUICK
from pipelines.training_cost.processes import Training


def run(config):
    """Measures all cases, writes `scaling.json` and prints tables.

    Args:
        config: `TrainingCostConfig`, complete.
    """
    machine.warn_of_load()
    run_directory.make(config.workdir)
    path = os.path.join(config.workdir, "scaling.json")
    cases, results = QUICK if config.quick else CASES, []
    for group in dict.fromkeys(case.group for case in cases):
        print(f"growing: {group}", file=sys.stderr, flush=True)
        chosen = [case for case in cases if case.group == group]
        results += measure(chosen, config.repeats, config.burst)
        record = {
            "machine": machine.description(),
            "versions": metrics_file.versions(),
            "cases": results,
        }
        write_json(path, record)
    print(table(results))
    for result in results:
        if result["group"] == "ImageNet":
            print("\nComputed for all of ImageNet:\n" + projection.table(result))
    print(f"\nResults: {path}")


def measure(cases, repeats, burst):
    """Measures the cases of a group.

    Args:
        cases: List of `Case`.
        repeats: Bursts of each case.
        burst: Seconds of a burst.

    Returns:
        List of dicts, one for each case: the sizes of the case; `parameters` and
        `forward_flops`, see `worker`; `grown`, the size that grows; `seconds` and
        `cpu_seconds` of a step, medians over the bursts, and those of each burst;
        `memory_mib`; and `ratio`, the processor time over that of the first case.
    """
    facts, bursts = take_turns(cases, repeats, burst)
    results = []
    for case, known, answers in zip(cases, facts, bursts, strict=True):
        seconds = [answer["seconds"] for answer in answers]
        busy = [answer["cpu_seconds"] for answer in answers]
        result = {
            **dataclasses.asdict(case),
            **known,
            "grown": case.grown,
            "seconds": statistics.median(seconds),
            "seconds_of_bursts": seconds,
            "cpu_seconds": statistics.median(busy),
            "cpu_seconds_of_bursts": busy,
            "memory_mib": answers[-1]["memory_mib"],
        }
        results.append(result)
        result["ratio"] = result["cpu_seconds"] / results[0]["cpu_seconds"]
    return results


def take_turns(cases, repeats, burst):
    """Runs trainings in turn, a burst of steps each.

    Args:
        cases: List of `Case`.
        repeats: Bursts of each case.
        burst: Seconds of a burst.

    Returns:
        Two lists with an entry for each case: the first answer of its processes, and
        the list of the answers for its bursts.
    """
    with tempfile.TemporaryDirectory() as folder:
        trainings = []
        try:
            for case in cases:
                trainings.append(Training(case, folder))
            facts = [training.answer()[0] for training in trainings]
            # Two steps warm a training up, and tell how many steps make a burst.
            counts = [
                max(round(burst / training.steps(2)["seconds"]), 1)
                for training in trainings
            ]
            bursts = [[] for _ in cases]
            for _ in range(repeats):
                turns = zip(trainings, counts, bursts, strict=True)
                for training, count, answers in turns:
                    answers.append(training.steps(count))
        finally:
            for training in trainings:
                training.close()
    return facts, bursts


def table(results):
    """The results of `measure` as lines of text."""
    heads = {
        "step": 11,
        "processor": 12,
        "ratio": 8,
        "examples/s": 12,
        "memory": 11,
        "parameters": 12,
        "forward": 14,
    }
    titles = "".join(f"{title:>{width}}" for title, width in heads.items())
    lines = [f"{'grows':8}{'to':>9}{titles}"]
    for x in results:
        lines.append(
            f"{x['group']:8}{x['grown']:9,}{x['seconds'] * 1e3:8,.1f} ms"
            f"{x['cpu_seconds'] * 1e3:9,.1f} ms{x['ratio']:8.2f}"
            f"{x['batch_size'] / x['seconds']:12,.0f}"
            f"{x['memory_mib']:7,.0f} MiB{x['parameters']:12,}"
            f"{x['forward_flops'] / 1e6:8,.1f} MFLOP"
        )
    return "\n".join(lines)
