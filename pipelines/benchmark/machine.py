"""The machine that a measurement was made on."""

import os
import platform

from pipelines.machine import cpu_model


def description():
    """Model of the processor, usable cores, memory and load, a dict."""
    return {
        "cpu": cpu_model(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "system": platform.system(),
        "load_at_start": load(),
    }


def load():
    """Processes that wanted to run in the last minute, for each core."""
    try:
        return round(os.getloadavg()[0] / _cores(), 2)
    except (AttributeError, OSError):  # not on every system
        return 0.0


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib():
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):
        return None
    return round(pages * size / 2**30, 1)
