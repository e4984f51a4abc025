"""The process of one peer: `python -m pipelines.benchmark.worker_process NAME`.

It reads requests, a JSON object in each line, and answers each with such a line:

    {"do": "prepare", "kind": ..., "folder": ...}
        compiles, runs twice, writes the result to FOLDER/NAME.npz;
        -> {"first_call_seconds": with compiling, "memory_mib": growth of the peak},
            or {"unsupported": reason} or {"failed": reason}
    {"do": "burst", "seconds": ...}   -> {"seconds": [of each call]}
    {"do": "finish"}                  -> {"held_mib": not returned to the system}

The first line that it writes is {"versions": {...}}.
"""

import ctypes
import gc
import importlib
import importlib.metadata
import json
import os
import sys
import time
import types
import warnings

import numpy as np

from pipelines.benchmark import peers
from pipelines.shared import machine, startup
from pipelines.shared.errors import first_line


def main(name):
    """Answers the requests of stdin until its end.

    Args:
        name: The name of the peer, a key of `peers.PEERS`.
    """
    # Answers go where no library's print can reach them.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    # The parent quotes the last line of stderr, which is to be that of an error.
    startup.quieten()
    warnings.simplefilter("ignore")
    known = peers.PEERS[name]
    module = importlib.import_module(f"pipelines.benchmark.peers.{known.module}")
    peer = module.PEERS[name]()
    versions = {x: importlib.metadata.version(x) for x in known.needs}
    answer = {"versions": versions}
    run, at_start = None, machine.reset_peak_memory()
    while True:
        print(json.dumps(answer), file=answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        request = json.loads(line)
        if request["do"] == "prepare":
            run, answer = _prepare(peer, name, **request)
        elif request["do"] == "burst":
            answer = {"seconds": _burst(run, request["seconds"])}
        else:
            run = None
            _give_memory_back()
            held = machine.reset_peak_memory() - at_start
            answer = {"held_mib": max(held, 0) / 2**20}


def _prepare(peer, name, kind, folder, **_):
    """The function to time, and the answer to "prepare"."""
    with np.load(os.path.join(folder, "inputs.npz")) as file:
        # Numbers become Python's own, since a NumPy scalar would widen float32 arrays.
        values = {k: x if x.ndim else x.item() for k, x in file.items()}
    _give_memory_back()
    before, started = machine.reset_peak_memory(), time.perf_counter()
    try:
        run = getattr(peer, kind)(types.SimpleNamespace(**values))
        result = run()
        seconds = time.perf_counter() - started
        run()
    except peers.Unsupported as reason:
        return None, {"unsupported": str(reason)}
    # Any exception of a peer is its result.
    except Exception as error:  # noqa: BLE001
        return None, {"failed": f"{type(error).__name__}: {first_line(error)}"}
    growth = max(machine.peak_memory() - before, 0) / 2**20
    np.savez(os.path.join(folder, f"{name}.npz"), **peer.arrays(result))
    return run, {"first_call_seconds": seconds, "memory_mib": growth}


def _burst(run, seconds):
    """The seconds of each of as many calls as fit, and of one at least.

    The attribute `calls` of a function that repeats its work says how often it does.
    """
    times = []
    calls = getattr(run, "calls", 1)
    started = time.perf_counter()
    while True:
        before = time.perf_counter()
        run()
        now = time.perf_counter()
        times.append((now - before) / calls)
        if now - started >= seconds:
            # The first call is slow, as another process filled the caches.
            return times[1:] or times


def _give_memory_back():
    """Returns freed memory to the system, so that the next case starts without it."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    # Other C libraries have no such function.
    except (OSError, AttributeError):
        pass


if __name__ == "__main__":
    main(sys.argv[1])
