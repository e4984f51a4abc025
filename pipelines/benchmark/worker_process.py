"""The process of one peer: `python -m pipelines.benchmark.worker_process NAME`.

Reads requests, one JSON object a line, and answers each with one:

    {"do": "prepare", "kind": ..., "folder": ...}
        compiles, runs twice, writes the result to FOLDER/NAME.npz;
        -> {"first_call_seconds": with compiling, "memory_mib": growth of the peak},
            or {"unsupported": why} or {"failed": why}
    {"do": "burst", "seconds": ...}   -> {"seconds": [of each call]}
    {"do": "finish"}                  -> {"held_mib": not given back to the system}

The first line it writes is {"versions": {...}}.
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
from pipelines.shared import machine


def main():
    name = sys.argv[1]
    # Answers go where no library's print can reach them.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
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
        # Numbers as Python's own: a NumPy scalar would widen float32 arrays.
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
    # Whatever a peer raises is its result.
    except Exception as error:  # noqa: BLE001
        lines = str(error).strip().splitlines() or [""]
        return None, {"failed": f"{type(error).__name__}: {lines[0]}"}
    growth = max(machine.peak_memory() - before, 0) / 2**20
    np.savez(os.path.join(folder, f"{name}.npz"), **peer.arrays(result))
    return run, {"first_call_seconds": seconds, "memory_mib": growth}


def _burst(run, seconds):
    """The seconds of each call; as many as fit, and one at least.

    A function that repeats its work says how often in its attribute `calls`.
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
            # The first found the caches filled by another process.
            return times[1:] or times


def _give_memory_back():
    """Returns freed memory to the system, so that the next case starts without it."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not with every C library
        pass


if __name__ == "__main__":
    main()
