"""The measurement of a case: every peer computes it once, then all take turns."""

import os
import sys
import time
from typing import NamedTuple

import numpy as np

from pipelines.benchmark import cases
from pipelines.benchmark.plan import participants
from pipelines.benchmark.worker_pool import Ended

# A slow peer has as many bursts, too: fewer have no quartiles.
_MIN_BURSTS = 3
# New processes of each peer of the section eager.
_NEW_PROCESSES = 3
# A process that keeps more memory than this is started again for the next case.
_MAX_HELD_MIB = 256


class Seconds(NamedTuple):
    """The time of a call, from the bursts of a peer.

    Attributes:
        median: The median over the bursts; a burst counts by the median of its calls.
        lower_quartile: The lower quartile over the bursts.
        upper_quartile: The upper quartile over the bursts.
        p99_of_calls: The 99th percentile of all calls.
        bursts: The number of bursts.
    """

    median: float
    lower_quartile: float
    upper_quartile: float
    p99_of_calls: float
    bursts: int


class Measurement(NamedTuple):
    """The results of a case.

    Attributes:
        peers: Dict of a peer's name to its result, a dict. Either the result has `failed`
            or `unsupported`, a sentence with the reason; or it has `first_call_seconds`
            (in the section eager the median of three new processes), `memory_mib`, the
            scores of the case's judge (such as `error`), in the section eager the number
            of `warnings`, and, where the case is timed, `seconds`, a dict of the fields of
            `Seconds`.
        reference: Dict of the facts that the judge knows of its float64 reference.
    """

    peers: dict
    reference: dict


def measure(case, values, workers, folder, config):
    """Measures a case by all peers that take part in it.

    Args:
        case: A `Case`.
        values: Dict of its inputs, from `cases.inputs`.
        workers: Dict of a peer's name to its `Worker`.
        folder: Directory for the arrays that processes exchange.
        config: `BenchmarkConfig`.

    Returns:
        A `Measurement`.
    """
    kinds = {
        name: kind
        for name, kind in participants(case, workers).items()
        if workers[name].is_usable
    }
    judge = cases.JUDGES[case.kind](case, values)
    if "bound" in kinds.values():
        values = values | {"kernel": judge.plan.astype(np.float32)}
    np.savez(os.path.join(folder, "inputs.npz"), **values)
    for name in kinds:
        workers[name].start()
    answers = {name: [] for name in kinds}
    rounds = _NEW_PROCESSES if case.section == "eager" else 1
    for _ in range(rounds):
        for name, kind in kinds.items():
            if rounds > 1:
                workers[name].close()
            answer = _ask(workers[name], case, do="prepare", kind=kind, folder=folder)
            answers[name].append(answer)
    results = {}
    for name, kind in kinds.items():
        answer = answers[name][-1]
        seconds = [each.get("first_call_seconds") for each in answers[name]]
        if None not in seconds:
            answer["first_call_seconds"] = float(np.median(seconds))
        if "memory_mib" in answer and kind != "bound":
            path = os.path.join(folder, f"{name}.npz")
            with np.load(path) as arrays:
                answer |= judge.judge(arrays)
                if "warnings" in arrays:
                    answer["warnings"] = int(arrays["warnings"])
            os.remove(path)
        results[name] = answer
    if case.section != "accuracy":
        ready = [name for name, result in results.items() if "memory_mib" in result]
        for name, result in take_turns(case, ready, workers, config).items():
            # The scores of a peer that ended are useless without its time.
            results[name] = result if "failed" in result else results[name] | result
    for name in kinds:
        try:
            # Memory that a process keeps would hide what its next case needs.
            if workers[name].ask(do="finish")["held_mib"] > _MAX_HELD_MIB:
                workers[name].close()
        except Ended:
            continue
    return Measurement(results, dict(judge.facts))


def take_turns(case, names, workers, config):
    """Times peers by bursts, round by round.

    Args:
        case: A `Case`, for messages.
        names: List of the names of the peers that are prepared.
        workers: Dict of a peer's name to its `Worker`.
        config: `BenchmarkConfig`.

    Returns:
        Dict of a name to a dict of `seconds`, or of `failed`, the reason.
    """
    spent = dict.fromkeys(names, 0.0)
    bursts = {name: [] for name in names}
    results = {}
    for _ in range(config.repeats):
        for name in list(bursts):
            has_enough = len(bursts[name]) >= _MIN_BURSTS
            if has_enough and spent[name] > config.budget:
                continue
            # Threads of the last peer may still be spinning.
            time.sleep(0.02)
            started = time.monotonic()
            answer = _ask(workers[name], case, do="burst", seconds=config.burst)
            if "failed" in answer:
                results[name] = answer
                del bursts[name]
                continue
            spent[name] += time.monotonic() - started
            bursts[name].append(answer["seconds"])
    for name, calls in bursts.items():
        results[name] = {"seconds": _summary(calls)._asdict()}
    return results


def _summary(bursts):
    """The `Seconds` of a list of bursts, each a list of the seconds of its calls."""
    medians = [float(np.median(calls)) for calls in bursts]
    lower, median, upper = np.quantile(medians, [0.25, 0.5, 0.75])
    return Seconds(
        median=float(median),
        lower_quartile=float(lower),
        upper_quartile=float(upper),
        p99_of_calls=float(np.quantile(np.concatenate(bursts), 0.99)),
        bursts=len(medians),
    )


def _ask(worker, case, **request):
    """The answer of a worker, a dict; if it ended, its entry `failed` is the reason."""
    try:
        return worker.ask(**request)
    except Ended as reason:
        print(f"peer {worker.name}, {case.key}: {reason}", file=sys.stderr)
        return {"failed": str(reason)}
